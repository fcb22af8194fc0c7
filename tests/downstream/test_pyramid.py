"""Maps of the pyramid: sizes, channels, places."""

import pytest
import torch
from mmengine.registry import MODELS

from saip_mm.downstream.pyramid import ViTPyramid


def test_strides_and_channels():
    pyramid = ViTPyramid(192, strides=(4, 8, 16, 32, 64))
    maps = pyramid((torch.zeros(1, 7, 1, 1), torch.randn(2, 192, 6, 4)))
    sizes = [tuple(each.shape) for each in maps]
    assert sizes == [
        (2, 48, 24, 16),
        (2, 96, 12, 8),
        (2, 192, 6, 4),
        (2, 192, 3, 2),
        (2, 192, 2, 1),
    ]
    assert pyramid.out_channels == [size[1] for size in sizes]


def test_channels_can_be_asked_for():
    pyramid = ViTPyramid(32, strides=(8, 16, 32), out_channels=(None, 7, 5))
    assert pyramid.out_channels == [16, 7, 5]
    maps = pyramid((torch.randn(1, 32, 4, 4),))
    assert [tuple(each.shape[1:]) for each in maps] == [
        (16, 8, 8),
        (7, 4, 4),
        (5, 2, 2),
    ]


def test_odd_maps_are_rounded_up_as_by_strided_convolutions():
    rounded = ViTPyramid(8, strides=(32,))((torch.randn(1, 8, 5, 7),))[0]
    convolution = torch.nn.Conv2d(8, 8, 3, stride=2, padding=1)
    assert rounded.shape == convolution(torch.zeros(1, 8, 5, 7)).shape


def test_every_level_shows_the_same_place():
    pyramid = ViTPyramid(16)
    blank = pyramid((torch.zeros(1, 16, 8, 8),))
    spot = torch.zeros(1, 16, 8, 8)
    spot[..., 4, 6] = 9.0
    for stride, plain, shown in zip(
        (4, 8, 16, 32), blank, pyramid((spot,)), strict=True
    ):
        rows, columns = torch.nonzero((shown != plain).any(dim=1)[0]).unbind(1)
        first = max(4 * 16 // stride, 0), max(6 * 16 // stride, 0)
        assert (rows.min(), columns.min()) == first
        side = max(16 // stride, 1)
        assert (rows.max(), columns.max()) == (first[0] + side - 1, first[1] + side - 1)


def test_every_parameter_learns():
    pyramid = ViTPyramid(16)
    maps = pyramid((torch.randn(1, 16, 4, 4),))
    sum(each.square().sum() for each in maps).backward()
    assert all(p.grad.abs().sum() > 0 for p in pyramid.parameters())


def test_in_front_of_the_neck_of_another_library():
    pytest.importorskip('mmdet.models')
    neck = MODELS.build(
        [
            dict(type='mmpretrain.ViTPyramid', in_channels=32),
            dict(
                type='mmdet.FPN',
                in_channels=[8, 16, 32, 32],
                out_channels=8,
                num_outs=5,
            ),
        ]
    )
    maps = neck((torch.randn(1, 32, 4, 4),))
    assert [each.shape[-1] for each in maps] == [16, 8, 4, 2, 1]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(in_channels=192, strides=(12,)), 'strides: 12 is not 16 times'),
        (dict(in_channels=6, strides=(4,)), '6 channels cannot be halved 2 times'),
        (dict(in_channels=6, out_channels=(1, 2)), '2 numbers for 4 strides'),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ViTPyramid(**arguments)
