"""Backbones without a class token: pooled tokens, hierarchical maps."""

import re
from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from .encoder import Encoded
from .weights import PretrainedStart


class PooledBackbone(PretrainedStart):
    """Mixin that adapts a convolutional or hybrid backbone to SAIP.

    Put it before a backbone whose ``layers`` are the names of all modules that it
    applies one after the other (as in MMPretrain's ``MobileNetV3`` and MMDetection's
    ``CSPNeXt``), or override :meth:`steps`. It changes neither names nor ``forward``:

        @MODELS.register_module()
        class SAIPMobileNetV3(PooledBackbone, MobileNetV3):
            middle_step = 8  # the last module of stride 16

    The mean of the last map takes the place of the class token. The middle map is the
    one after ``middle_step``, and the middle token its mean over the visible patches.
    Weights that do not fit are rejected, even with ``strict=False``.

    Args:
        *args: As for the backbone.
        img_size: (h, w) in pixels of the training images, for tools that need to know
            it; images of any other size can be encoded.
        **kwargs: As for the backbone.
    """

    patch_size = 16
    middle_step: int

    def __init__(self, *args, img_size: tuple[int, int] = (256, 128), **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.img_size = tuple(img_size)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
                module.register_forward_pre_hook(_widen_columns)

    @property
    def patch_resolution(self) -> tuple[int, int]:
        """(h, w) of the middle map of an image of ``img_size``."""
        return tuple(side // self.patch_size for side in self.img_size)

    def steps(self) -> list[nn.Module]:
        """The modules that map an image [B, 3, H, W] to the last map, in order."""
        return [getattr(self, name) for name in self.layers]

    def encode(
        self,
        images: Tensor,
        visible: Tensor | None = None,
        until: Literal['middle', 'end', 'maps'] = 'end',
        attention: bool = False,
    ) -> Encoded:
        """Encode images; see :class:`~saip_mm.models.encoder.Encoded`.

        Args:
            images: [B, 3, H, W], normalized; H and W multiples of 16.
            visible: [B, K] indices into the row-major grid of 16-pixel patches, over
                which the middle token is the mean; all by default. The pixels of the
                others have to be hidden beforehand, as by
                :class:`~saip_mm.models.encoder.MaskColor`.
            until: ``'middle'`` stops after ``middle_step``; ``'maps'`` also returns the
                last map.
            attention: Ignored: there are no attention maps over the whole image.
        """
        # Convolutions are faster in this memory format (docs/performance.md).
        x = images.contiguous(memory_format=torch.channels_last)
        steps = self.steps()
        for step in steps[: self.middle_step + 1]:
            x = step(x)
        middle, patches = x, x.flatten(2)
        if visible is not None:
            index = visible[:, None].expand(-1, patches.shape[1], -1)
            patches = patches.gather(2, index)
        token = patches.mean(dim=2)
        if until == 'middle':
            return Encoded(None, token, middle, None)
        for step in steps[self.middle_step + 1 :]:
            x = step(x)
        last = x if until == 'maps' else None
        return Encoded(x.mean(dim=(2, 3)), token, middle, None, last)

    def _save_to_state_dict(self, destination, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        metadata = getattr(destination, '_metadata', {}).get(prefix[:-1])
        if metadata is not None:
            metadata['grid'] = self.patch_resolution


def _widen_columns(conv: nn.Conv2d, inputs: tuple[Tensor]) -> Tensor | None:
    """Add a column of zeros to maps of a single one, without changing the result.

    In PyTorch 2.14 on CPUs, gradients in bfloat16 of the weights of 3×3 convolutions of
    stride 2 contain uninitialized memory for such maps.
    """
    (x,) = inputs
    if x.shape[3] == 1 and (conv.kernel_size, conv.padding) == ((3, 3), (1, 1)):
        return pad(x, (0, 1))
    return None


def count_modules(names: Iterable[str], prefix: str) -> int:
    """Number of modules that are numbered after a prefix, from names of tensors."""
    numbered = re.compile(rf'{re.escape(prefix)}(\d{{1,4}})\.')
    return len({match[1] for name in names if (match := numbered.match(name))})
