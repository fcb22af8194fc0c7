"""Packing of images and drawn views as tensors, to make the views on the device."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS
from torch import Tensor

from .images import resize, to_tensor
from .views import Size, View

JITTER = ('brightness', 'contrast', 'saturation', 'hue')
UNCHANGED = (1.0, 1.0, 1.0, 0.0)  # factors of JITTER that change nothing
NEVER = 256  # threshold that solarizes nothing


class PackedView(NamedTuple):
    """Columns of a packed :class:`~saip_mm.data.views.View`.

    Attributes:
        crop: top, left, height, width in pixels of the source image.
        flip: 0 or 1.
        order: Indices in ``JITTER`` of the first, second, … change of color.
        factors: Factors of the changes in ``JITTER``.
        gray: 0 or 1.
        blur: Standard deviation in pixels; 0 for none.
        solarize: Threshold, or ``NEVER``.
    """

    crop: Tensor
    flip: Tensor
    order: Tensor
    factors: Tensor
    gray: Tensor
    blur: Tensor
    solarize: Tensor

    @classmethod
    def unpack(cls, numbers: Tensor) -> 'PackedView':
        """Split float32 [..., 16] into the columns."""
        return cls(*numbers.split(WIDTHS, dim=-1))


WIDTHS = PackedView(4, 1, 4, 4, 1, 1, 1)


def pack(views: Sequence[View], ratio: tuple[float, float]) -> Tensor:
    """Return views as float32 [n, 16], see :class:`PackedView`.

    Args:
        views: Views of one image.
        ratio: Height and width of the packed image, relative to this image.
    """
    return torch.tensor([_numbers(view, *ratio) for view in views], dtype=torch.float32)


def _numbers(view: View, rows: float, columns: float) -> list[float]:
    crop, jitter = view.crop, view.colors.jitter
    drawn = [JITTER.index(name) for name, _ in jitter]
    factors = dict(zip(JITTER, UNCHANGED, strict=True)) | dict(jitter)
    top, height = _scale(crop.top, crop.height, rows)
    left, width = _scale(crop.left, crop.width, columns)
    return [
        *(top, left, height, width),
        view.flip,
        *(drawn or range(len(JITTER))),
        *factors.values(),
        view.colors.gray,
        0 if view.blur is None else view.blur,
        NEVER if view.solarize is None else view.solarize,
    ]


def _scale(start: int, length: int, ratio: float) -> tuple[float, float]:
    """Scale a range to at least one pixel: less might not contain a pixel's center."""
    end, length = (start + length) * ratio, max(1.0, length * ratio)
    return max(0.0, end - length), length


@TRANSFORMS.register_module()
class PackViews(BaseTransform):
    """Transform that replaces ``ApplyViews``, to make the views on the model's device.

    Workers then only decode and draw, and ``SAIPDataPreprocessor`` makes the same views
    up to rounding.

    Args:
        canvas: (h, w) in pixels to which images are padded; larger ones are shrunk.
    """

    def __init__(self, canvas: Size) -> None:
        self.canvas = canvas

    def transform(self, results: dict) -> dict:
        """Return the packed inputs of one sample.

        Args:
            results: ``image`` and ``scene``, RGB uint8 [height, width, 3]; ``views``.

        Returns:
            ``inputs``, a dict of tensors: ``image`` and ``scene_image`` uint8
            [3, *canvas]; ``view_globals`` [2, 16], ``view_locals`` [n + 1, 16] (roi is
            the last) and ``view_scene`` [1, 16], float32; ``size_globals``,
            ``size_locals`` and ``size_scene``, empty tensors [0, h, w] with the views'
            shape; ``places`` int64 [2, 2]; ``opacity`` float32; ``scene_masks`` and
            ``csr_noise`` as from ``ApplyViews``. What belongs to views that were not
            drawn is missing.
        """
        views = results['views']
        image, ratio = self._fit(results['image'])
        inputs = dict(
            view_globals=pack(views.globals, ratio),
            size_globals=torch.empty(0, *views.globals[0].size),
            image=image,
            csr_noise=torch.from_numpy(views.csr_noise),
        )
        if views.roi:
            inputs['view_locals'] = pack((*views.locals, views.roi), ratio)
            inputs['size_locals'] = torch.empty(0, *views.roi.size)
        if views.scene:
            scene_image, ratio = self._fit(results['scene'])
            inputs |= dict(
                view_scene=pack((views.scene,), ratio),
                size_scene=torch.empty(0, *views.scene.size),
                scene_image=scene_image,
                places=torch.tensor(views.places),
                opacity=torch.tensor(views.opacity, dtype=torch.float32),
                scene_masks=torch.from_numpy(views.scene_masks),
            )
        return dict(inputs=inputs)

    def _fit(self, image: np.ndarray) -> tuple[Tensor, tuple[float, float]]:
        """Shrink uint8 [h, w, 3] if needed, and pad it at the bottom and right.

        Returns:
            uint8 [3, *canvas], and the ratio of the image in it to ``image``.
        """
        height, width = image.shape[:2]
        scale = min(1.0, self.canvas[0] / height, self.canvas[1] / width)
        rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
        pixels = resize(to_tensor(image), (rows, columns))
        padded = torch.zeros(3, *self.canvas, dtype=torch.uint8)
        padded[:, :rows, :columns] = pixels
        return padded, (rows / height, columns / width)
