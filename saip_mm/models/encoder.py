"""The encoder of student (image encoder) and teacher (expert encoder)."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal, NamedTuple

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class AttentionMaps(NamedTuple):
    """Attention of a backbone's last block, rows summing to one."""

    query_key: Tensor
    """[B, heads, N, N]: softmax(q kᵀ / √d), d = channels per head."""
    value_value: Tensor
    """[B, heads, N, N]: softmax(v vᵀ / √d)."""


class Encoded(NamedTuple):
    """Outputs of a SAIP backbone for a batch of images.

    A backbone without a class token returns pooled tokens in its place; one without
    attention returns ``None``.
    """

    image_token: Tensor | None
    """[B, C] at the end, after the final norm; None for ``until='middle'``."""
    middle_token: Tensor
    """[B, C] half-way through."""
    middle_map: Tensor
    """[B, C, h, w] half-way through; undefined where patches were not visible."""
    attention: AttentionMaps | None
    """Attention maps of the last block, if requested."""
    last_map: Tensor | None = None
    """[B, C, h', w'] at the end, for ``until='maps'`` only."""

    @property
    def middle_tokens(self) -> Tensor:
        """[B, 1 + h·w, C]: the middle token, then the map in row-major order."""
        return _tokens(self.middle_token, self.middle_map)

    @property
    def last_tokens(self) -> Tensor:
        """[B, 1 + h'·w', C]: the same at the end, for ``until='maps'`` only."""
        return _tokens(self.image_token, self.last_map)


def _tokens(token: Tensor, map_: Tensor) -> Tensor:
    return torch.cat([token[:, None], map_.flatten(2).mT], dim=1)


class MaskColor(nn.Module):
    """Replaces hidden patches of an image by one learned color.

    For backbones that compute all patches. Hidden pixels are replaced before the first
    layer: neither an overlapping convolution nor a batch statistic can read them.
    """

    def __init__(self, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.color = nn.Parameter(torch.zeros(3))

    def forward(self, images: Tensor, visible: Tensor) -> Tensor:
        """Normalized images [B, 3, H, W], and [B, K] indices of their visible patches
        in row-major order → [B, 3, H, W]."""
        size = images.shape[2:]
        grid = [side // self.patch_size for side in size]
        shown = visible.new_zeros(len(images), grid[0] * grid[1], dtype=torch.bool)
        shown = shown.scatter(1, visible, True).unflatten(1, grid)
        for dim in (1, 2):
            shown = shown.repeat_interleave(self.patch_size, dim)
        return torch.where(shown[:, None], images, self.color.view(3, 1, 1).to(images))


class Encoder(BaseModule):
    """A backbone, the norm of its middle tokens and its mask color.

    Norm and color are not part of the backbone because no downstream task uses them:
    there they would be unused parameters in distributed training and stray keys in
    exports.

    Args:
        backbone: With the ``encode`` method of ``SAIPViT``.
        middle_norm: Norm over the channels of the middle tokens.
        mask_color: Hides patches from a backbone that computes all of them; None for
            one that computes the visible ones only, or if nothing is ever hidden.
    """

    def __init__(
        self,
        backbone: nn.Module,
        middle_norm: nn.Module,
        mask_color: MaskColor | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.middle_norm = middle_norm
        self.mask_color = mask_color

    def forward(
        self,
        images: Tensor,
        visible: Tensor | None = None,
        until: Literal['middle', 'end', 'maps'] = 'end',
        attention: bool = False,
        crops: bool = False,
    ) -> Encoded:
        """Encode images [B, 3, H, W] and normalize their middle tokens.

        Args:
            images, visible, until, attention: As in
                :meth:`~saip_mm.models.saip_vit.SAIPViT.encode`; patches that are not
                ``visible`` are hidden.
            crops: Whether images are cropped or shrunk; they then do not change the
                running statistics of batch norms, which are for whole images.
        """
        own_statistics = crops and self.backbone.training
        if visible is not None and self.mask_color is not None:
            images = self.mask_color(images, visible)
            own_statistics = True
        context = batch_statistics if own_statistics else nullcontext
        with context(self.backbone):
            encoded = self.backbone.encode(images, visible, until, attention)
        channels_last = encoded.middle_map.permute(0, 2, 3, 1)
        return encoded._replace(
            middle_token=self.middle_norm(encoded.middle_token),
            middle_map=self.middle_norm(channels_last).permute(0, 3, 1, 2),
        )


@contextmanager
def batch_statistics(backbone: nn.Module) -> Iterator[None]:
    """Normalize by the statistics of the batch, without changing the running ones.

    Masked images and crops have other statistics than whole images, which the running
    ones describe. Norms keep their mode: in training mode, synchronized norms would
    wait for all processes, but only one probes a model.
    """
    norms = [each for each in backbone.modules() if isinstance(each, _BatchNorm)]
    kept = [(x.track_running_stats, x.running_mean, x.running_var) for x in norms]
    for norm in norms:
        norm.track_running_stats = False
        norm.running_mean = norm.running_var = None
    try:
        yield
    finally:
        for x, values in zip(norms, kept, strict=True):
            x.track_running_stats, x.running_mean, x.running_var = values


@torch.no_grad()
def channels_of(backbone: nn.Module) -> tuple[int, int]:
    """Channels of a backbone's image and middle tokens, measured on a small rectangle.

    Raises:
        TypeError: If it has no ``encode`` method or ``patch_size``.
        ValueError: If it cannot encode rectangles, or the stride of the middle map is
            not ``patch_size``.
    """
    kind = type(backbone).__name__
    if not (hasattr(backbone, 'encode') and hasattr(backbone, 'patch_size')):
        raise TypeError(
            f'backbone {kind} has no encode method or patch_size, which SAIP needs: '
            'use SAIPViT, SAIPTinyViT or SAIPCSPNeXt, or write an adapter '
            '(docs/extending.md, "Add a backbone")'
        )
    patch, training = backbone.patch_size, backbone.training
    backbone.eval()
    try:
        encoded = backbone.encode(torch.zeros(1, 3, 3 * patch, 5 * patch))
    except Exception as error:  # a backbone for one size fails in its own ways
        raise ValueError(
            f'backbone {kind} cannot encode images of {3 * patch}×{5 * patch} (h×w), '
            f'but SAIP scales images to any multiple of {patch}: '
            f'{type(error).__name__}: {error}'
        ) from error
    finally:
        backbone.train(training)
    height, width = encoded.middle_map.shape[2:]
    if (height, width) != (3, 5):
        raise ValueError(
            f'backbone {kind}: the middle map of a {3 * patch}×{5 * patch} image is '
            f'{height}×{width}, not 3×5: its stride has to be patch_size={patch}'
        )
    return encoded.image_token.shape[1], encoded.middle_map.shape[1]
