"""Views made in batches on the device against those that workers make one by one."""

import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS
from torch.utils.data import default_collate
from torchvision.transforms.v2 import functional as tvf

from saip_mm.data import ApplyViews, DrawViews, PackViews, SyntheticPeople
from saip_mm.data.pack_views import PackedView, pack
from saip_mm.data.views import Colors, Crop, View
from saip_mm.models.device_views import blur_matrix, make_views, resize_matrix

SIZES = dict(globals=(64, 32), locals=(32, 16), scene=(48, 48))


def batch(last_step: object, count: int = 24) -> dict[str, torch.Tensor]:
    drawing = DrawViews(
        *(SIZES['globals'], SIZES['locals'], 2, SIZES['scene']),
        patch_size=8,
        global_1=dict(area=(0.5, 1.0), aspect=(0.4, 0.6), blur=0.5, solarize=0.5),
    )
    people = SyntheticPeople(count, 1, size=(96, 48), pipeline=[drawing, last_step])
    return default_collate([people[0, 0, i]['inputs'] for i in range(count)])


def test_views_are_those_of_the_workers_up_to_rounding():
    expected = batch(ApplyViews())
    with torch.autocast('cpu', torch.bfloat16):  # as in training
        views = make_views(batch(PackViews(canvas=(100, 60))))
    assert views.keys() == expected.keys()
    for name, view in views.items():
        assert view.dtype == expected[name].dtype, name
        assert view.shape == expected[name].shape, name
        difference = (view.float() - expected[name].float()).abs()
        # Workers round between the rows and the columns; saturation multiplies that.
        assert difference.mean() < 0.5, name
        assert difference.max() < 10, name


@pytest.mark.parametrize('start, length, size', [(3, 17, 8), (0, 10, 25), (5, 15, 15)])
def test_resizing_is_torchvisions(start: int, length: int, size: int):
    pixels = torch.rand(1, 20, 1)
    matrix = resize_matrix(
        torch.tensor(start * 1.0), torch.tensor(length * 1.0), size, 20
    )
    cut = pixels[:, start : start + length].expand(1, length, 4)
    expected = tvf.resize(cut, [size, 4], tvf.InterpolationMode.BICUBIC, antialias=True)
    torch.testing.assert_close(matrix @ pixels[0], expected[0, :, :1])


@pytest.mark.parametrize('size, kernel', [(20, 9), (4, 7)])
def test_blurring_is_torchvisions(size: int, kernel: int):
    """Cut off at 3 sigma, or where reflected pixels end."""
    pixels = torch.rand(1, size, size)
    matrix = blur_matrix(torch.tensor(1.3), size)
    expected = tvf.gaussian_blur(pixels, [kernel] * 2, [1.3] * 2)
    torch.testing.assert_close(matrix @ pixels @ matrix.T, expected)
    torch.testing.assert_close(blur_matrix(torch.tensor(0.0), size), torch.eye(size))


def test_images_larger_than_the_canvas_are_shrunk():
    expected = batch(ApplyViews())
    views = make_views(batch(PackViews(canvas=(80, 60))))
    for name, view in views.items():
        difference = (view.float() - expected[name].float()).abs()
        # Crops one pixel away would differ by 2.5 or more.
        assert difference.mean() < 1.5, name


@pytest.mark.parametrize('left', [0, 46, 50, 590, 1190])
def test_crops_that_shrink_to_less_than_a_pixel_have_its_color(left: int):
    crop = Crop(top=0, left=left, height=16, width=10)
    view = View(crop, (8, 4), False, Colors((), False), None, None)
    image = np.tile(np.arange(12, dtype=np.uint8).repeat(100)[:, None], (16, 1, 3))
    shrunk, ratio = PackViews(canvas=(8, 12))._fit(image)
    assert ratio == (1 / 16, 1 / 100)
    canvas = shrunk[0, 0].float()
    _, start, _, width = PackedView.unpack(pack([view], ratio)).crop[0]
    colors = resize_matrix(start, width, 4, 12) @ canvas
    assert (colors - colors[0]).abs().max() < 1e-5
    assert abs(colors[0] - left // 100) <= 1


def test_images_that_are_reversed_in_memory():
    image = np.arange(36, dtype=np.uint8).reshape(4, 3, 3)
    packed, _ = PackViews(canvas=(4, 3))._fit(image[..., ::-1])
    assert packed.tolist() == image[..., ::-1].transpose(2, 0, 1).tolist()


def test_the_preprocessor_makes_the_views():
    preprocessor = MODELS.build(dict(type='SAIPDataPreprocessor', patch_size=8))
    scales = preprocessor.draw_scales(0, 0)
    packed, views = (
        preprocessor(dict(inputs=batch(step, 4), scales=scales))['inputs']
        for step in (PackViews(canvas=(96, 48)), ApplyViews())
    )
    assert packed.keys() == views.keys()
    for name in packed:
        difference = (packed[name].float() - views[name].float()).abs()
        assert difference.mean() < 0.01, name  # of a standard deviation
