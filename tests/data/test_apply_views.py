"""Applied views against Pillow and torchvision."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.v2 import functional as tvf

from saip_mm.data.apply_views import LEVEL, ApplyViews, blur, cut, recolor
from saip_mm.data.draw_views import DrawViews
from saip_mm.data.views import Colors, Crop


def picture(height, width, seed=0):
    """uint8 [height, width, 3]: soft blobs of color with some noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), np.uint8)
    soft = np.array(Image.fromarray(coarse).resize((width, height), Image.BICUBIC))
    return np.clip(soft + rng.normal(0, 4, soft.shape), 0, 255).astype(np.uint8)


def tensor(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def array(image):
    return image.permute(1, 2, 0).numpy().astype(int)


def tricky_colors():
    """uint8 [5, 3, 64, 32]: any, gray, pure, few and nearly gray colors."""
    rng = np.random.default_rng(0)
    colors = torch.from_numpy(rng.integers(0, 256, (5, 3, 64, 32), np.uint8))
    colors[1] = colors[1, :1]
    colors[2] = (colors[2] > 127) * 255
    colors[3] = colors[3] // 64 * 64
    colors[4] = colors[4] % 3 + 100
    return colors


FACTORS = (0.0, 0.6, 1.0, 1.4, 3.0)
ADJUSTMENTS = [
    *((name, f) for name in ('brightness', 'contrast', 'saturation') for f in FACTORS),
    *(('hue', turns) for turns in (-0.5, -0.1, 0.0, 0.01, 0.1, 0.3, 0.5)),
]


@pytest.mark.parametrize(('name', 'value'), ADJUSTMENTS)
def test_color_adjustments_match_torchvision(name, value):
    for image in tricky_colors():
        expected = getattr(tvf, f'adjust_{name}')(image.double() / 255, value)
        values = image.permute(1, 2, 0).numpy().astype(np.uint16) * LEVEL
        ours = recolor(values, Colors(jitter=((name, value),), gray=False))
        ours = torch.from_numpy(ours).permute(2, 0, 1).double() / (255 * LEVEL)
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)


def blurred(images, sigma):
    width = 2 * int(np.ceil(3 * sigma)) + 1
    return tvf.gaussian_blur(images, [width, width], [sigma, sigma])


@pytest.mark.parametrize('sigma', [0.1, 0.5, 1.3, 2.0])
def test_blur_matches_torchvision(sigma):
    for image in tricky_colors().float() / 255:
        ours = torch.from_numpy(blur(image.permute(1, 2, 0).numpy(), sigma))
        ours, expected = ours.permute(2, 0, 1).double(), blurred(image.double(), sigma)
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ('shape', 'crop', 'size'),
    [
        ((300, 150), Crop(3, 5, 280, 140), (256, 128)),
        ((300, 150), Crop(100, 50, 61, 27), (128, 64)),
        ((600, 300), Crop(0, 0, 600, 300), (128, 64)),
        ((200, 320), Crop(10, 20, 150, 200), (224, 224)),
        ((16, 8), Crop(2, 1, 3, 2), (64, 128)),
        ((1, 1), Crop(0, 0, 1, 1), (128, 64)),
    ],
)
@pytest.mark.parametrize('flip', [False, True])
def test_cut_matches_pillow(shape, crop, size, flip):
    image = picture(*shape)
    box = (crop.left, crop.top, crop.left + crop.width, crop.top + crop.height)
    expected = Image.fromarray(image).crop(box).resize(size[::-1], Image.BICUBIC)
    if flip:
        expected = ImageOps.mirror(expected)
    difference = cut(image, crop, size, flip) - np.array(expected, int)
    assert np.abs(difference).max() <= 2


def sample(key, image=(300, 150), scene=(200, 320), **options):
    results = dict(
        image=picture(*image, seed=1),
        scene=picture(*scene, seed=2),
        rng=np.random.default_rng(key),
    )
    results = DrawViews(**options).transform(results)
    return results, ApplyViews().transform(results)['inputs']


def plain_view(image, view):
    """One view, step by step with torchvision in float64."""
    crop = view.crop
    pixels = tvf.resized_crop(
        tensor(image),
        *(crop.top, crop.left, crop.height, crop.width),
        list(view.size),
        interpolation=tvf.InterpolationMode.BICUBIC,
        antialias=True,
    )
    if view.flip:
        pixels = tvf.horizontal_flip(pixels)
    pixels = pixels.double() / 255
    for name, value in view.colors.jitter:
        pixels = getattr(tvf, f'adjust_{name}')(pixels, value)
    if view.colors.gray:
        pixels = tvf.rgb_to_grayscale(pixels, 3)
    if view.blur is not None:
        pixels = blurred(pixels, view.blur)
    pixels = (pixels * 255).round()
    if view.solarize is not None:
        pixels = torch.where(pixels >= view.solarize, 255 - pixels, pixels)
    return pixels


def test_samples_match_a_plain_pipeline():
    solarized = 0
    for index in range(12):
        results, inputs = sample((0, 0, index))
        views = results['views']
        made = [*inputs['globals'], *inputs['locals'], inputs['roi']]
        drawn = [*views.globals, *views.locals, views.roi]
        for ours, view in zip(made, drawn, strict=True):
            expected = plain_view(results['image'], view)
            assert (ours - expected).abs().max() <= 1
            solarized += view.solarize is not None
        shrunk = Image.fromarray(array(made[0]).astype(np.uint8)).resize(
            (64, 128), Image.BICUBIC
        )
        assert np.abs(array(inputs['inst']) - np.array(shrunk, int)).max() <= 1

        scene = plain_view(results['scene'], views.scene)
        persons = (inputs['inst'], inputs['roi'])
        for person, (top, left) in zip(persons, views.places, strict=True):
            region = scene[:, top : top + 128, left : left + 64]
            region.copy_(0.7 * person + 0.3 * region)
        assert (inputs['scene'] - scene).abs().max() <= 1.01
        assert (inputs['scene_masks'].numpy() == views.scene_masks).all()
        assert (inputs['csr_noise'].numpy() == views.csr_noise).all()
        assert (results['image'] == picture(300, 150, seed=1)).all()  # not modified
        assert (results['scene'] == picture(200, 320, seed=2)).all()
    assert solarized > 0


class Samples(Dataset):
    def __len__(self) -> int:
        return 12

    def __getitem__(self, index):
        return sample((0, 0, index))[1]


def test_workers_and_threads_do_not_change_a_byte():
    def load(num_workers):
        return list(DataLoader(Samples(), batch_size=4, num_workers=num_workers))

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        batches = load(num_workers=0)
    finally:
        torch.set_num_threads(threads)
    for num_workers in (0, 2):
        for expected, batch in zip(batches, load(num_workers), strict=True):
            assert all(torch.equal(batch[key], expected[key]) for key in expected)
