"""Maps of the pyramid: sizes, channels, and positions."""

import pytest
import torch

from saip_mm.downstream.pyramid import ViTPyramid


def test_strides_and_channels():
    pyramid = ViTPyramid(192, strides=(4, 8, 16, 32, 64))
    maps = pyramid((torch.zeros(1, 7, 1, 1), torch.randn(2, 192, 6, 4)))
    assert [tuple(each.shape[1:]) for each in maps] == [
        (48, 24, 16),
        (96, 12, 8),
        (192, 6, 4),
        (192, 3, 2),
        (192, 2, 1),
    ]
    assert pyramid.out_channels == [each.shape[1] for each in maps]


def test_requested_channels():
    pyramid = ViTPyramid(32, strides=(8, 16, 32), out_channels=(None, 7, 5))
    assert pyramid.out_channels == [16, 7, 5]
    maps = pyramid((torch.randn(1, 32, 4, 4),))
    sizes = [tuple(each.shape[1:]) for each in maps]
    assert sizes == [(16, 8, 8), (7, 4, 4), (5, 2, 2)]


def test_odd_sizes_are_rounded_up_as_in_strided_convolutions():
    rounded = ViTPyramid(8, strides=(32,))((torch.randn(1, 8, 5, 7),))[0]
    convolution = torch.nn.Conv2d(8, 8, 3, stride=2, padding=1)
    assert rounded.shape == convolution(torch.zeros(1, 8, 5, 7)).shape


def test_levels_are_aligned():
    pyramid = ViTPyramid(16)
    spot = torch.zeros(1, 16, 8, 8)
    blank = pyramid((spot.clone(),))
    spot[..., 4, 6] = 9.0
    levels = zip((4, 8, 16, 32), blank, pyramid((spot,)), strict=True)
    for stride, plain, shown in levels:
        rows, columns = torch.nonzero((shown != plain).any(dim=1)[0]).unbind(1)
        top, left, side = 4 * 16 // stride, 6 * 16 // stride, max(16 // stride, 1)
        assert (rows.min(), columns.min()) == (top, left)
        assert (rows.max(), columns.max()) == (top + side - 1, left + side - 1)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(in_channels=192, strides=(12,)), 'strides: 12 is not 16 scaled'),
        (dict(in_channels=6, strides=(4,)), '6 channels cannot be halved 2 times'),
        (dict(in_channels=6, out_channels=(1, 2)), '2 numbers for 4 strides'),
    ],
)
def test_invalid_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ViTPyramid(**arguments)
