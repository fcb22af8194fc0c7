"""Numbers of visible patches, counted by hand."""

import pytest
import torch

from saip_mm.models import CrossScaleReconstructionHead


@pytest.mark.parametrize(
    'ratio, grid, kept', [(0.8, (20, 10), 40), (0.99, (4, 2), 1), (0.5, (3, 3), 4)]
)
def test_number_of_visible_patches(ratio, grid, kept):
    head = CrossScaleReconstructionHead(8, 8, 1, 1, mask_ratio=ratio)
    visible, mask = head.draw_mask(torch.rand(2, 4, 2), grid)
    assert visible.shape == (2, kept) and mask.shape == (2, *grid)
    assert ((1 - mask).sum((1, 2)) == kept).all()


@pytest.mark.parametrize('ratio', [0, 1])
def test_a_mask_of_nothing_or_everything_is_refused(ratio):
    with pytest.raises(ValueError, match=f'mask_ratio={ratio} is not between 0 and 1'):
        CrossScaleReconstructionHead(mask_ratio=ratio)
