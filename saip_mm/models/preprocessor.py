"""Converts stacked uint8 views to the inputs of ``SAIP.loss``."""

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.model import BaseDataPreprocessor
from mmpretrain.registry import MODELS
from torch import Tensor

from ..data.images import normalize, resize
from .device_views import make_views


@MODELS.register_module()
class SAIPDataPreprocessor(BaseDataPreprocessor):
    """Normalizes the views and rescales some of them.

    The scales of ``roi`` and ``inst`` travel in the batch. ``SAIPHook`` draws them from
    seed and step: they are the same in all processes and micro-batches of a step.

    Args:
        mean, std: Per color (R, G, B), in 0–255.
        scales: Scales from which ``roi`` and ``inst`` each draw one per step.
        csr_scale: Scale of the view to be reconstructed, relative to the globals. None
            leaves it out, for models without reconstruction.
        patch_size: Sides of rescaled views are whole numbers of patches.
    """

    def __init__(
        self,
        mean: Sequence[float] = (123.675, 116.28, 103.53),
        std: Sequence[float] = (58.395, 57.12, 57.375),
        scales: Sequence[float] = (0.75, 0.875, 1.125, 1.25),
        csr_scale: float | None = 1.25,
        patch_size: int = 16,
    ) -> None:
        super().__init__(non_blocking=True)
        self.register_buffer('mean', torch.tensor(mean).view(3, 1, 1))
        self.register_buffer('std', torch.tensor(std).view(3, 1, 1))
        self.scales = scales
        self.csr_scale = csr_scale
        self.patch_size = patch_size

    def draw_scales(self, seed: int, step: int) -> tuple[float, float]:
        """Scales of ``roi`` and ``inst`` in an optimizer step."""
        # The fourth number separates steps from samples, which are seeded with
        # (seed, epoch, index).
        rng = np.random.default_rng((seed, step, 0, 1))
        return tuple(rng.choice(self.scales, size=2).tolist())

    def forward(self, data: dict, training: bool = False) -> dict:
        """Prepare a batch.

        Args:
            data: ``scales`` of ``roi`` and ``inst``; ``inputs`` of ``PackViews``, or of
                ``ApplyViews``: uint8 ``globals`` [B, 2, 3, H, W], ``locals``
                [B, n, 3, h, w], ``roi`` and ``inst`` [B, 3, h, w], ``scene``
                [B, 3, S, T]; ``scene_masks``; ``csr_noise``. Some may be missing.

        Returns:
            dict: ``inputs`` for :meth:`saip_mm.models.SAIP.loss`, and no data samples.

        Raises:
            KeyError: If the batch has no ``scales`` and there is more than one to draw.
        """
        if len(self.scales) == 1:
            data = dict(data, scales=2 * tuple(self.scales))
        if 'scales' not in data:
            raise KeyError(
                'the batch has no scales of this step: add '
                "default_hooks=dict(saip=dict(type='SAIPHook')) to the config, or set "
                'data_preprocessor.scales=(1.0,) for DPAL'
            )
        views = dict(self.cast_data(data['inputs']))
        if 'image' in views:
            views = make_views(views)
        if self.csr_scale is not None:
            views['csr'] = self._rescale(views['globals'][:, -1], self.csr_scale)
        for name, scale in zip(('roi', 'inst'), data['scales'], strict=True):
            if name in views:
                views[name] = self._rescale(views[name], scale)
        for name in views.keys() - {'scene_masks', 'csr_noise'}:
            views[name] = normalize(views[name], self.mean, self.std)
        return dict(inputs=views, data_samples=None)

    def _rescale(self, images: Tensor, scale: float) -> Tensor:
        """Rescale, each side to a whole number of patches, at least one."""
        patch, size = self.patch_size, images.shape[-2:]
        return resize(images, [patch * max(1, round(scale * s / patch)) for s in size])
