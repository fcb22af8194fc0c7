"""A ViT whose blocks attend within windows, for large images."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from .saip_vit import SAIPViT


@MODELS.register_module()
class SAIPWindowedViT(SAIPViT):
    """SAIPViT with attention within windows in all but a few blocks, as in ViTDet.

    It has the weights of :class:`SAIPViT`, and equals it for images of one window.
    Rows and columns are divided into as few windows as possible, which overlap where a
    side is not a multiple (ViTDet, arXiv 2203.16527, pads instead): a patch is taken
    from the last window that contains it. The class token attends to each window, and
    its results are averaged.

    Args:
        *args: As for :class:`SAIPViT`.
        window_size: Largest side of a window in patches.
        global_blocks: Indices of the blocks that attend to the whole image; by default
            every third.
        **kwargs: As for :class:`SAIPViT`.
    """

    def __init__(
        self,
        *args,
        window_size: int = 16,
        global_blocks: Sequence[int] | None = None,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        if global_blocks is None:
            global_blocks = range(2, self.num_layers, 3)
        if window_size < 1 or not set(global_blocks) <= set(range(self.num_layers)):
            raise ValueError(
                f'window_size={window_size} should be at least 1, and '
                f'global_blocks={tuple(global_blocks)} below {self.num_layers}'
            )
        self.window_size, self.global_blocks = window_size, tuple(global_blocks)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps, or other outputs by ``out_type``, of the blocks in ``out_indices``."""
        tokens, grid = self._embed(images)
        outputs = []
        for index, layer in enumerate(self.layers):
            if index in self.global_blocks:
                tokens = layer(tokens)
            else:
                tokens = in_windows(layer, tokens, grid, self.window_size)
            if index == self.num_layers - 1 and self.final_norm:
                tokens = self.ln1(tokens)
            if index in self.out_indices:
                outputs.append(self._format_output(tokens, grid))
        return tuple(outputs)


class _Windows(NamedTuple):
    """Windows of one side of a grid."""

    index: Tensor
    """[windows, size]: the rows (or columns) of each window."""
    window: Tensor
    """[side]: the last window of each row."""
    place: Tensor
    """[side]: the place of each row in that window."""


def _windows(side: int, largest: int, device: torch.device) -> _Windows:
    count = -(-side // largest)
    size = -(-side // count)
    starts = torch.linspace(0, side - size, count, device=device).round().long()
    rows = torch.arange(side, device=device)
    window = torch.searchsorted(starts, rows, right=True) - 1
    return _Windows(
        starts[:, None] + rows[:size], window=window, place=rows - starts[window]
    )


def in_windows(
    block: nn.Module, tokens: Tensor, grid: tuple[int, int], window_size: int
) -> Tensor:
    """Apply a transformer block to the windows of an image.

    Args:
        block: Maps [B, N, C] to [B, N, C].
        tokens: [B, 1 + h·w, C], class token first.
        grid: (h, w)
        window_size: Largest side of a window.

    Returns:
        [B, 1 + h·w, C]
    """
    rows, columns = (_windows(side, window_size, tokens.device) for side in grid)
    patches = tokens[:, 1:].unflatten(1, grid)
    # [B, windows down, windows across, rows, columns, C]
    windows = patches[:, rows.index][:, :, :, columns.index].transpose(2, 3)
    shape = windows.shape
    flat = windows.flatten(3, 4).flatten(0, 2)
    copies = tokens[:, :1].repeat_interleave(len(flat) // len(tokens), dim=0)
    done = block(torch.cat([copies, flat], dim=1))
    cls_token = done[:, 0].unflatten(0, (len(tokens), -1)).mean(dim=1, keepdim=True)
    patches = done[:, 1:].reshape(shape)[
        :,
        rows.window[:, None],
        columns.window,
        rows.place[:, None],
        columns.place,
    ]
    return torch.cat([cls_token, patches.flatten(1, 2)], dim=1)
