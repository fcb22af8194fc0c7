"""The record of what happens to an image.

``DrawViews`` draws it, ``ApplyViews`` applies it to pixels.
"""

from dataclasses import dataclass

import numpy as np

Size = tuple[int, int]
Range = tuple[float, float]


@dataclass(frozen=True)
class Crop:
    """A rectangle of the source image, in pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Colors:
    """A change of colors.

    Attributes:
        jitter: Pairs of a name (brightness, contrast, saturation, hue) and a factor
            (for hue: a shift in turns), in the order in which they are applied.
        gray: Convert to grayscale afterwards.
    """

    jitter: tuple[tuple[str, float], ...]
    gray: bool


@dataclass(frozen=True)
class View:
    """One view: cut ``crop``, resize to ``size``, then the rest in the given order.

    Attributes:
        blur: Standard deviation in pixels of the view; None for no blur.
        solarize: Threshold from which values are inverted; None for no inversion.
    """

    crop: Crop
    size: Size
    flip: bool
    colors: Colors
    blur: float | None
    solarize: int | None


@dataclass(frozen=True)
class Views:
    """Everything that happens to one image and its scene image.

    Attributes:
        globals: The anchor and the second view of the whole person.
        locals: Partial views, with the anchor's flip and colors.
        roi: One more of these, which is searched for in the scene.
        scene: View of the scene image, before anything is pasted.
        places: (top, left) in the scene of inst (the anchor, shrunk) and of roi.
        opacity: Share of the person in pasted pixels; the rest is the scene's.
        scene_masks: bool [2, h, w], 1 = more than half of the scene token is inside
            inst's, roi's rectangle.
        csr_noise: float32 [H, W], uniform in [0, 1), one value per token of a global
            view; the lowest stay visible in reconstruction.
    """

    globals: tuple[View, View]
    locals: tuple[View, ...]
    roi: View
    scene: View
    places: tuple[Size, Size]
    opacity: float
    scene_masks: np.ndarray
    csr_noise: np.ndarray


@dataclass(frozen=True)
class CropOptions:
    """How views of one kind are drawn.

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

    def check(self, name: str) -> None:
        check_range(f'{name}.area', self.area, high=1)
        check_range(f'{name}.aspect', self.aspect)
        check_probability(f'{name}.blur', self.blur)
        check_probability(f'{name}.solarize', self.solarize)


@dataclass(frozen=True)
class ColorOptions:
    """How colors are drawn, with the semantics of torchvision's ``ColorJitter``.

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

    def check(self, name: str) -> None:
        check_probability(f'{name}.jitter', self.jitter)
        check_probability(f'{name}.gray', self.gray)
        for key in ('brightness', 'contrast', 'saturation', 'hue'):
            value, high = getattr(self, key), 0.5 if key == 'hue' else float('inf')
            if not 0 <= value <= high:
                raise ValueError(
                    f'{name}.{key}={value}: give a strength from 0 to {high:g}'
                )


def check_probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f'{name}={value} is no probability: give a value from 0 to 1')


def check_range(name: str, value: Range, high: float = float('inf')) -> None:
    if len(value) != 2 or not 0 < value[0] <= value[1] <= high:
        limit = '' if high == float('inf') else f' <= {high:g}'
        raise ValueError(
            f'{name}={value} is no range: give (low, high) with 0 < low <= high{limit}'
        )


def check_size(name: str, size: Size, patch_size: int) -> None:
    if len(size) != 2 or any(side < 1 or side % patch_size for side in size):
        raise ValueError(
            f'{name}={size} is not made of whole patches: give (height, width) in '
            f'positive multiples of patch_size={patch_size}'
        )
