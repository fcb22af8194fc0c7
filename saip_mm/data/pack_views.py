"""Packing of images and drawn views as tensors, to make the views on the device."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS
from torch import Tensor

from .apply_views import ApplyViews
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


def pack(views: Sequence[View]) -> Tensor:
    """Return views as float32 [n, 16], see :class:`PackedView`."""
    return torch.tensor([_numbers(view) for view in views], dtype=torch.float32)


def _numbers(view: View) -> list[float]:
    crop, jitter = view.crop, view.colors.jitter
    drawn = [JITTER.index(name) for name, _ in jitter]
    factors = dict(zip(JITTER, UNCHANGED, strict=True)) | dict(jitter)
    return [
        *(crop.top, crop.left, crop.height, crop.width),
        view.flip,
        *(drawn or range(len(JITTER))),
        *factors.values(),
        view.colors.gray,
        0 if view.blur is None else view.blur,
        NEVER if view.solarize is None else view.solarize,
    ]


@TRANSFORMS.register_module()
class PackViews(BaseTransform):
    """Transform that replaces ``ApplyViews``, to make the views on the model's device.

    Workers then only decode and draw, and ``SAIPDataPreprocessor(view_sizes=…)`` makes
    the same views up to rounding.

    Args:
        canvas: (h, w) in pixels to which images are padded; none may be larger.
    """

    def __init__(self, canvas: Size) -> None:
        self.canvas = tuple(canvas)

    def transform(self, results: dict) -> dict:
        """Return the packed inputs of one sample.

        Args:
            results: ``image`` and ``scene``, RGB uint8 [height, width, 3]; ``views``.

        Returns:
            ``inputs``, a dict of tensors: ``image`` and ``scene_image`` uint8
            [3, *canvas]; ``view_globals`` [2, 16], ``view_locals`` [n + 1, 16] (roi is
            the last) and ``view_scene`` [1, 16], float32; ``places`` int64 [2, 2];
            ``opacity`` float32; ``scene_masks`` and ``csr_noise`` as of ``ApplyViews``.
        """
        views = results['views']
        inputs = dict(
            view_globals=pack(views.globals),
            view_locals=pack((*views.locals, views.roi)),
            view_scene=pack((views.scene,)),
            image=self._pad(results['image'], results['source']),
            scene_image=self._pad(results['scene'], f'scene of {results["source"]}'),
            places=torch.tensor(views.places),
            opacity=torch.tensor(views.opacity, dtype=torch.float32),
            scene_masks=torch.from_numpy(views.scene_masks),
            csr_noise=torch.from_numpy(views.csr_noise),
        )
        return dict(inputs=inputs)

    def _pad(self, image: np.ndarray, source: str) -> Tensor:
        """Pad uint8 [h, w, 3] at the bottom and right to uint8 [3, *canvas]."""
        height, width = image.shape[:2]
        if height > self.canvas[0] or width > self.canvas[1]:
            raise ValueError(
                f'{source}: {height}x{width} pixels (h x w) do not fit into '
                f'PackViews(canvas={self.canvas}); shrink the images, or enlarge it '
                '(train_dataloader.dataset.pipeline.1.canvas=H,W)'
            )
        padded = torch.zeros(3, *self.canvas, dtype=torch.uint8)
        padded[:, :height, :width] = torch.from_numpy(image).permute(2, 0, 1)
        return padded


def pop_apply(pipeline: list[dict]) -> BaseTransform:
    """Remove the step of a pipeline that makes the views, and return a transform that
    makes them, also if the step leaves this to the model (``PackViews``)."""
    step = pipeline.pop()
    packs = str(step['type']).endswith('PackViews')
    return ApplyViews() if packs else TRANSFORMS.build(step)
