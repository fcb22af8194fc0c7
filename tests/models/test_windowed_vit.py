"""Attention within windows, against a loop over windows and the ViT itself."""

import pytest
import torch

from saip_mm.models import SAIPViT, SAIPWindowedViT
from saip_mm.models.windowed_vit import in_windows

SMALL = dict(embed_dims=24, num_layers=4, num_heads=3, feedforward_channels=48)


@pytest.mark.parametrize('out_type', ['featmap', 'cls_token'])
def test_one_window_is_the_plain_vit(out_type):
    torch.manual_seed(0)
    plain = SAIPViT(SMALL, (64, 48), out_type=out_type, out_indices=(1, 3)).eval()
    windowed = SAIPWindowedViT(
        SMALL, (64, 48), out_type=out_type, out_indices=(1, 3), window_size=5
    ).eval()
    windowed.load_state_dict(plain.state_dict())
    for size in ((64, 48), (80, 32)):
        images = torch.randn(2, 3, *size)
        for a, b in zip(windowed(images), plain(images), strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize('grid', [(8, 4), (9, 7), (5, 13), (3, 1)])
def test_windows_against_a_loop(grid):
    """Every patch, with the last of the overlapping windows that contain it."""
    block = SAIPViT(SMALL, (64, 32)).double().eval().layers[0]
    height, width = grid
    tokens = torch.randn(2, 1 + height * width, 24, dtype=torch.double)
    found = in_windows(block, tokens, grid, window_size=4)

    def starts(side: int) -> tuple[list[int], int]:
        count = (side + 3) // 4
        size = (side + count - 1) // count
        return [
            round(i * (side - size) / max(count - 1, 1)) for i in range(count)
        ], size

    expected, class_tokens = torch.zeros(2, height, width, 24).double(), []
    patches = tokens[:, 1:].reshape(2, height, width, 24)
    (tops, tall), (lefts, wide) = starts(height), starts(width)
    for top in tops:
        for left in lefts:
            window = patches[:, top : top + tall, left : left + wide]
            done = block(torch.cat([tokens[:, :1], window.flatten(1, 2)], dim=1))
            expected[:, top : top + tall, left : left + wide] = done[:, 1:].reshape(
                window.shape
            )
            class_tokens.append(done[:, 0])
    torch.testing.assert_close(found[:, 1:].reshape(expected.shape), expected)
    torch.testing.assert_close(found[:, 0], torch.stack(class_tokens).mean(dim=0))


def test_windows_that_cannot_be():
    with pytest.raises(ValueError, match='below 4'):
        SAIPWindowedViT(SMALL, global_blocks=(4,))
    with pytest.raises(ValueError, match='at least 1'):
        SAIPWindowedViT(SMALL, window_size=0)
