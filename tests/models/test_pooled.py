"""Backbones with pooled tokens, on maps of a single column."""

import torch
from mmpretrain.models.backbones import ResNet
from torch.nn.functional import conv2d

from saip_mm.models import PooledBackbone


class AdaptedResNet(PooledBackbone, ResNet):
    """With a 3×3 convolution of stride 2 from 256 to 512 channels."""


def test_gradients_of_maps_of_one_column_in_bfloat16():
    conv = AdaptedResNet(depth=18).layer4[0].conv1
    generator = torch.Generator().manual_seed(0)
    images, above = (
        torch.randn(8, channels, 1, 1, generator=generator).expand(-1, -1, rows, 1)
        for channels, rows in ((256, 2), (512, 1))
    )
    expected = conv2d(images, conv.weight, stride=2, padding=1)
    (expected_gradient,) = torch.autograd.grad(expected, conv.weight, above)
    for repetition in range(5):
        # Uninitialized memory may come from these.
        freed = [
            torch.full((1000 + 500 * i + repetition,), torch.nan) for i in range(99)
        ]
        del freed
        with torch.autocast('cpu', torch.bfloat16):
            found = conv(images)
        torch.testing.assert_close(found.float(), expected, rtol=0.02, atol=0.02)
        (gradient,) = torch.autograd.grad(found, conv.weight, above.bfloat16())
        error = (gradient - expected_gradient).norm() / expected_gradient.norm()
        assert error < 0.01
