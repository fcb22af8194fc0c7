"""Records of drawn views: ``DrawViews`` draws them, ``ApplyViews`` applies them."""

import math
from dataclasses import dataclass

import numpy as np

Size = tuple[int, int]
Range = tuple[float, float]


@dataclass(frozen=True)
class Crop:
    """Rectangle of the source image, in pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Colors:
    """Changes of color.

    Attributes:
        jitter: Pairs of a name (brightness, contrast, saturation, hue) and a factor
            (for hue: a shift in turns), in the order in which they are applied.
        gray: Convert to grayscale afterwards.
    """

    jitter: tuple[tuple[str, float], ...]
    gray: bool


@dataclass(frozen=True)
class View:
    """One view: crop, resize to ``size``, then the rest in the order of the attributes.

    Attributes:
        blur: Standard deviation in pixels of the view; None for no blur.
        solarize: Values from this threshold on are inverted; None for no inversion.
    """

    crop: Crop
    size: Size
    flip: bool
    colors: Colors
    blur: float | None
    solarize: int | None


@dataclass(frozen=True)
class Views:
    """All views of one image and its scene image, without those that are left out.

    Attributes:
        globals: The anchor, if any, and the second view of the whole person.
        locals: Partial views, with the anchor's flip and colors.
        roi: One more partial view, which is searched for in the scene.
        csr_noise: float32 [H, W], uniform in [0, 1), one value per token of a global
            view; the lowest stay visible in reconstruction.
        scene: View of the scene image, before anything is pasted.
        places: (top, left) in the scene of inst (the anchor, shrunk) and of roi.
        opacity: Weight of the person in pasted pixels; the rest is the scene.
        scene_masks: bool [2, h, w], for inst and for roi; 1 = more than half of the
            scene token is inside its rectangle.
    """

    globals: tuple[View, ...]
    locals: tuple[View, ...]
    roi: View | None
    csr_noise: np.ndarray
    scene: View | None = None
    places: tuple[Size, Size] | None = None
    opacity: float | None = None
    scene_masks: np.ndarray | None = None


@dataclass(frozen=True)
class CropOptions:
    """Distribution of views of one kind.

    Attributes:
        area: Range of the crop's share of the image.
        aspect: Range of the crop's width / height.
        blur: Probability of Gaussian blur.
        solarize: Probability of inverting bright values.
    """

    area: Range
    aspect: Range
    blur: float = 0.0
    solarize: float = 0.0


@dataclass(frozen=True)
class ColorOptions:
    """Distribution of colors, as in torchvision's ``ColorJitter``.

    Attributes:
        jitter: Probability of changing the four properties below, in random order.
        brightness, contrast, saturation: Factors lie in [max(0, 1 - s), 1 + s].
        hue: Shifts lie in [-hue, hue] turns; at most 0.5.
        gray: Probability of converting to grayscale.
    """

    jitter: float
    brightness: float
    contrast: float
    saturation: float
    hue: float
    gray: float


RANGES = dict(area=1, aspect=math.inf, blur_sigma=math.inf)  # with their maxima
NUMBERS = dict(
    **dict.fromkeys(('flip', 'jitter', 'gray', 'blur', 'solarize'), (0, 1)),
    **dict.fromkeys(('brightness', 'contrast', 'saturation'), (0, math.inf)),
    **dict.fromkeys(('patch_size', 'num_locals'), (1, math.inf)),
    paste_opacity=(0, 1),
    hue=(0, 0.5),
    solarize_threshold=(0, 255),
)


def check_options(options: object, prefix: str = '') -> None:
    """Raise ValueError if an option in ``RANGES`` or ``NUMBERS`` is out of range."""
    for key, value in vars(options).items():
        name, high = f'{prefix}{key}', RANGES.get(key)
        if isinstance(value, CropOptions | ColorOptions):
            check_options(value, f'{name}.')
        if high and not (len(value) == 2 and 0 < value[0] <= value[1] <= high):
            raise ValueError(
                f'{name}={value} should be (low, high) with 0 < low <= high <= {high}'
            )
        if key in NUMBERS and not NUMBERS[key][0] <= value <= NUMBERS[key][1]:
            raise ValueError(f'{name}={value} should be in {list(NUMBERS[key])}')


def check_size(name: str, size: Size, patch_size: int) -> None:
    """Raise ValueError unless a size consists of two multiples of the patch size."""
    two = isinstance(size, list | tuple) and len(size) == 2
    if not two or any(side < 1 or side % patch_size for side in size):
        raise ValueError(
            f'{name}={size} should be (height, width) in positive multiples of '
            f'patch_size={patch_size}'
        )
