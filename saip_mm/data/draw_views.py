"""Drawing of the views, the scene and the masks of a sample, without pixels."""

import math
from dataclasses import dataclass

import numpy as np
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS

from .views import (
    ColorOptions,
    Colors,
    Crop,
    CropOptions,
    Range,
    Size,
    View,
    Views,
    check_options,
    check_size,
)


def draw_crop(
    rng: np.random.Generator, shape: Size, area: Range, aspect: Range
) -> Crop:
    """Draw a rectangle like torchvision's ``RandomResizedCrop``.

    Returns the first of ten rectangles that fits into the image, or else the largest
    central one with an aspect in range.

    Args:
        rng: Generator.
        shape: (height, width) of the image.
        area: Range of the rectangle's share of the image, uniform.
        aspect: Range of its width / height, uniform in the logarithm.
    """
    image_height, image_width = shape
    log_aspect = math.log(aspect[0]), math.log(aspect[1])
    for _ in range(10):
        pixels = image_height * image_width * rng.uniform(*area)
        ratio = math.exp(rng.uniform(*log_aspect))
        width = round(math.sqrt(pixels * ratio))
        height = round(math.sqrt(pixels / ratio))
        if 0 < width <= image_width and 0 < height <= image_height:
            top = int(rng.integers(image_height - height + 1))
            left = int(rng.integers(image_width - width + 1))
            return Crop(top, left, height, width)
    ratio = min(max(image_width / image_height, aspect[0]), aspect[1])
    width = max(1, min(image_width, round(image_height * ratio)))
    height = max(1, min(image_height, round(image_width / ratio)))
    top, left = (image_height - height) // 2, (image_width - width) // 2
    return Crop(top, left, height, width)


def smallest_crop(shape: Size, area: Range, aspect: Range) -> tuple[float, float]:
    """Return the least height and the least width of :func:`draw_crop`'s rectangles."""
    height, width = shape
    pixels = height * width * area[0]
    least_height = min(height, width / aspect[0], math.sqrt(pixels / aspect[1]))
    least_width = min(width, height * aspect[1], math.sqrt(pixels * aspect[0]))
    return least_height, least_width


def draw_colors(rng: np.random.Generator, options: ColorOptions) -> Colors:
    """Draw color jitter like torchvision's ``ColorJitter``, and grayscale."""
    steps = []
    for name in ('brightness', 'contrast', 'saturation'):
        strength = getattr(options, name)
        steps.append((name, float(rng.uniform(max(0, 1 - strength), 1 + strength))))
    steps.append(('hue', float(rng.uniform(-options.hue, options.hue))))
    jitter = tuple(steps[i] for i in rng.permutation(len(steps)))
    return Colors(
        jitter=jitter if rng.random() < options.jitter else (),
        gray=bool(rng.random() < options.gray),
    )


def draw_places(
    rng: np.random.Generator, size: Size, scene_size: Size
) -> tuple[Size, Size]:
    """Draw (top, left) of two rectangles of ``size`` side by side in a scene.

    All pairs of places without a common column are equally likely.
    """
    (height, width), (scene_height, scene_width) = size, scene_size
    # Two distinct sorted numbers below n + 2, with the second reduced by 1, are any two
    # numbers up to n in order: the free columns left of either rectangle.
    free = scene_width - 2 * width
    left, right = np.sort(rng.choice(free + 2, size=2, replace=False))
    columns = rng.permutation([left, right - 1 + width])
    rows = rng.integers(scene_height - height + 1, size=2)
    first, second = zip(rows.tolist(), columns.tolist(), strict=True)
    return first, second


def paste_mask(
    place: Size, size: Size, scene_size: Size, patch_size: int
) -> np.ndarray:
    """Return the tokens of a scene that a rectangle covers by more than half.

    Returns:
        bool [scene height / patch_size, scene width / patch_size]
    """
    covered = []  # pixels inside the rectangle, per row and per column of patches
    for start, length, whole in zip(place, size, scene_size, strict=True):
        edges = np.arange(0, whole, patch_size)
        ends = np.minimum(edges + patch_size, start + length)
        covered.append(np.maximum(ends - np.maximum(edges, start), 0))
    return 2 * np.outer(*covered) > patch_size**2


@TRANSFORMS.register_module()
@dataclass(eq=False)
class DrawViews(BaseTransform):
    """Transform that draws ``results['views']``, a :class:`Views`.

    Reads the shapes of ``results['image']`` and ``results['scene']`` and draws from
    ``results['rng']``. The defaults are those of the method. A model that does not use
    the anchor, local views or the scene leaves them out with None for their options.

    Args:
        global_size: (height, width) of the two views of the whole person.
        local_size: (height, width) of local views, roi and inst.
        num_locals: Number of local views besides roi.
        scene_size: (height, width) of the scene.
        patch_size: Side of a token in pixels, of which all sizes are multiples.
        global_0: ``CropOptions`` of the anchor, or None.
        global_1: ``CropOptions`` of the second view, with its own flip and colors.
        local: ``CropOptions`` of local views and roi, or None; flip and colors are the
            anchor's.
        scene: ``CropOptions`` of the scene, with its own flip and colors, or None.
        flip: Probability of a horizontal flip.
        colors: ``ColorOptions``.
        blur_sigma: Range of the blur's standard deviation in pixels.
        solarize_threshold: Values (0–255) from this one on are inverted.
        paste_opacity: Weight of the person in the pixels pasted into the scene.

    Raises:
        ValueError: An argument is out of range, a size is not a multiple of the patch
            size, the two pasted crops do not fit side by side into the scene, or a view
            that another one needs is left out.
    """

    global_size: Size = (256, 128)
    local_size: Size = (128, 64)
    num_locals: int = 6
    scene_size: Size = (224, 224)
    patch_size: int = 16
    global_0: CropOptions | None = CropOptions((0.8, 1.0), (0.4, 0.6), blur=1.0)
    global_1: CropOptions = CropOptions((0.8, 1.0), (0.4, 0.6), blur=0.1, solarize=0.2)
    local: CropOptions | None = CropOptions((0.05, 0.8), (0.4, 0.6), blur=0.5)
    scene: CropOptions | None = CropOptions(
        (0.2, 1.0), (3 / 4, 4 / 3), blur=0.1, solarize=0.2
    )
    flip: float = 0.5
    colors: ColorOptions = ColorOptions(
        jitter=0.8, brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, gray=0.2
    )
    blur_sigma: Range = (0.1, 2.0)
    solarize_threshold: int = 128
    paste_opacity: float = 0.7

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, list):
                setattr(self, name, tuple(value))
            elif isinstance(value, dict):  # of a config
                kind = ColorOptions if name == 'colors' else CropOptions
                setattr(self, name, kind(**value))
        check_options(self)
        if (self.scene and not self.local) or (self.local and not self.global_0):
            raise ValueError(
                'the scene needs local views, and these need the anchor: with '
                'global_0=None also set local=None, and with local=None scene=None'
            )
        for name in ('global_size', 'local_size', 'scene_size'):
            check_size(name, getattr(self, name), self.patch_size)
        (height, width), (scene_height, scene_width) = self.local_size, self.scene_size
        if height > scene_height or 2 * width > scene_width:
            raise ValueError(
                f'two crops of local_size={self.local_size} do not fit side by side '
                f'into scene_size={self.scene_size}: use a scene of at least '
                f'{(height, 2 * width)} or a smaller local_size'
            )

    @property
    def needs_scene(self) -> bool:
        return self.scene is not None

    def max_reduction(self, shape: Size) -> float:
        """Return how much an image or scene can be reduced before the smallest crop
        that may be drawn has fewer rows or columns than its view."""
        kinds = (
            (self.global_0, self.global_size),
            (self.global_1, self.global_size),
            (self.local, self.local_size),
            (self.scene, self.scene_size),
        )
        return min(
            least / wanted
            for options, size in kinds
            if options
            for least, wanted in zip(
                smallest_crop(shape, options.area, options.aspect), size, strict=True
            )
        )

    def transform(self, results: dict) -> dict:
        rng, shape = results['rng'], results['image'].shape[:2]
        if not self.scene:
            rng.integers(2)  # instead of choosing a scene: other views stay the same
        look = self._draw_look(rng)
        anchor = self._draw_view(rng, shape, self.global_size, self.global_0, look)
        second = self._draw_view(
            rng, shape, self.global_size, self.global_1, self._draw_look(rng)
        )
        *locals_, roi = (
            self._draw_view(rng, shape, self.local_size, self.local, look)
            for _ in range(self.num_locals + 1)
        )
        pasted = self._draw_scene(rng, results['scene'].shape[:2]) if self.scene else {}
        tokens = tuple(side // self.patch_size for side in self.global_size)
        results['views'] = Views(
            globals=(anchor, second) if anchor else (second,),
            locals=tuple(locals_) if roi else (),
            roi=roi,
            csr_noise=rng.random(tokens, dtype=np.float32),
            **pasted,
        )
        return results

    def _draw_scene(self, rng: np.random.Generator, shape: Size) -> dict:
        """Draw the scene, and what is pasted where: the fields of ``Views``."""
        look = self._draw_look(rng)
        scene = self._draw_view(rng, shape, self.scene_size, self.scene, look)
        places = draw_places(rng, self.local_size, self.scene_size)
        masks = [
            paste_mask(place, self.local_size, self.scene_size, self.patch_size)
            for place in places
        ]
        return dict(
            scene=scene,
            places=places,
            opacity=self.paste_opacity,
            scene_masks=np.stack(masks),
        )

    def _draw_look(self, rng: np.random.Generator) -> tuple[bool, Colors]:
        """Draw flip and colors, which the anchor and its local views share."""
        return bool(rng.random() < self.flip), draw_colors(rng, self.colors)

    def _draw_view(
        self,
        rng: np.random.Generator,
        shape: Size,
        size: Size,
        options: CropOptions | None,
        look: tuple[bool, Colors],
    ) -> View | None:
        if options is None:
            return None
        blurred = rng.random() < options.blur
        solarized = rng.random() < options.solarize
        sigma = float(rng.uniform(*self.blur_sigma))
        return View(
            draw_crop(rng, shape, options.area, options.aspect),
            size,
            *look,
            blur=sigma if blurred else None,
            solarize=self.solarize_threshold if solarized else None,
        )
