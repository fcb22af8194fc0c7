"""Distributions of drawn views, against torchvision and exact probabilities."""

import math
import pickle
from collections import Counter

import numpy as np
import pytest
import torch
from torchvision.transforms import RandomResizedCrop

from saip_mm.data.draw_views import DrawViews, draw_crop, draw_places, paste_mask

NUM_RECORDS = 1500
CROP = dict(area=(0.2, 1), aspect=(0.4, 0.6))


def draw(key, image=(300, 150), scene=(200, 320), **options):
    results = dict(
        image=np.empty((*image, 3), np.uint8),
        scene=np.empty((*scene, 3), np.uint8),
        rng=np.random.default_rng(key),
    )
    return DrawViews(**options).transform(results)['views']


@pytest.fixture(scope='module')
def records():
    return [draw((0, 0, index)) for index in range(NUM_RECORDS)]


def assert_share(events, probability):
    """As many events as expected, within five standard deviations."""
    events = np.asarray(list(events), float)
    deviation = math.sqrt(probability * (1 - probability) / len(events))
    assert abs(events.mean() - probability) <= 5 * deviation


def of_kind(records, kind):
    if kind == 'locals':
        return [view for record in records for view in record.locals]
    if kind in ('global_0', 'global_1'):
        return [record.globals[int(kind[-1])] for record in records]
    return [getattr(record, kind) for record in records]


@pytest.mark.parametrize(
    ('kind', 'size', 'area', 'aspect', 'blur', 'solarize'),
    [
        ('global_0', (256, 128), (0.8, 1), (0.4, 0.6), 1, 0),
        ('global_1', (256, 128), (0.8, 1), (0.4, 0.6), 0.1, 0.2),
        ('locals', (128, 64), (0.05, 0.8), (0.4, 0.6), 0.5, 0),
        ('roi', (128, 64), (0.05, 0.8), (0.4, 0.6), 0.5, 0),
        ('scene', (224, 224), (0.2, 1), (3 / 4, 4 / 3), 0.1, 0.2),
    ],
)
def test_default_views(records, kind, size, area, aspect, blur, solarize):
    views = of_kind(records, kind)
    height, width = (200, 320) if kind == 'scene' else (300, 150)
    for view in views:
        crop = view.crop
        assert view.size == size and view.solarize in (None, 128)
        assert 0 <= crop.top <= crop.top + crop.height <= height
        assert 0 <= crop.left <= crop.left + crop.width <= width
        # Whole pixels may miss a range by one pixel's share.
        slack = 1 / crop.height + 1 / crop.width
        share = crop.height * crop.width / (height * width)
        assert area[0] * (1 - slack) <= share <= area[1] * (1 + slack)
        ratio = crop.width / crop.height
        assert aspect[0] * (1 - slack) <= ratio <= aspect[1] * (1 + slack)
    assert_share((view.blur is not None for view in views), blur)
    sigmas = np.array([view.blur for view in views if view.blur is not None])
    assert (sigmas >= 0.1).all() and (sigmas <= 2).all()
    assert_share(sigmas < 0.1 + 0.5 * 1.9, 0.5)
    assert_share((view.solarize is not None for view in views), solarize)


@pytest.mark.parametrize('kind', ['global_0', 'global_1', 'scene'])
def test_default_flip_and_colors(records, kind):
    views = of_kind(records, kind)
    assert_share((view.flip for view in views), 0.5)
    assert_share((view.colors.gray for view in views), 0.2)
    jitters = [view.colors.jitter for view in views]
    assert_share((len(jitter) > 0 for jitter in jitters), 0.8)
    drawn = [jitter for jitter in jitters if jitter]
    for name, low, high in [
        ('brightness', 0.6, 1.4),
        ('contrast', 0.6, 1.4),
        ('saturation', 0.8, 1.2),
        ('hue', -0.1, 0.1),
    ]:
        values = np.array([dict(jitter)[name] for jitter in drawn])
        assert low <= values.min() and values.max() <= high
        assert_share(values < low + 0.3 * (high - low), 0.3)
        for place in range(4):
            assert_share((jitter[place][0] == name for jitter in drawn), 0.25)


def test_flip_and_colors_shared_by_views(records):
    for record in records:
        anchor = record.globals[0]
        for view in (*record.locals, record.roi):
            assert (view.flip, view.colors) == (anchor.flip, anchor.colors)
        assert len({view.crop for view in (*record.locals, record.roi)}) == 7
    for kind in ('global_1', 'scene'):
        others = of_kind(records, kind)
        pairs = list(zip(of_kind(records, 'global_0'), others, strict=True))
        assert_share((a.flip == b.flip for a, b in pairs), 0.5)
        # Equal only where neither is jittered and both or none are gray.
        equal = (a.colors == b.colors for a, b in pairs)
        assert_share(equal, 0.2**2 * (0.2**2 + 0.8**2))


@pytest.mark.parametrize('shape', [(900, 450), (500, 900), (2000, 300), (700, 700)])
@pytest.mark.parametrize('scene_size', [(128, 128), (512, 512)])
def test_crops_of_an_image_reduced_as_allowed_are_not_smaller_than_views(
    shape, scene_size
):
    allowed = DrawViews(scene_size=scene_size).max_reduction(shape)
    drawn = []
    for index in range(150):
        views = draw((0, 0, index), shape, shape, scene_size=scene_size)
        for view in (*views.globals, *views.locals, views.roi, views.scene):
            crop, (height, width) = view.crop, view.size
            drawn += [(crop.height + 0.5) / height, (crop.width + 0.5) / width]
    assert allowed <= min(drawn) < 1.3 * allowed


@pytest.mark.parametrize(
    ('shape', 'area', 'aspect'),
    [
        ((300, 150), (0.05, 0.8), (0.4, 0.6)),
        ((200, 320), (0.2, 1.0), (0.75, 4 / 3)),
        ((16, 8), (0.05, 0.8), (0.4, 0.6)),
        ((100, 90), (0.8, 1.0), (0.4, 0.6)),  # some do not fit
    ],
)
def test_distribution_of_crops_matches_torchvision(shape, area, aspect):
    rng, image = np.random.default_rng(0), torch.empty(3, *shape)
    ours, theirs = [], []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(1500):
            crop = draw_crop(rng, shape, area, aspect)
            ours.append((crop.top, crop.left, crop.height, crop.width))
            theirs.append(RandomResizedCrop.get_params(image, area, aspect))
    ours, theirs = np.sort(ours, axis=0), np.sort(theirs, axis=0)
    for level in (0.1, 0.3, 0.5, 0.7, 0.9):
        quantile = np.quantile(theirs, level, axis=0)
        below = (ours <= quantile).mean(0) - (theirs <= quantile).mean(0)
        assert np.abs(below).max() < 5 * math.sqrt(2 * 0.25 / 1500)


@pytest.mark.parametrize('shape', [(50, 1000), (1000, 50), (1, 1), (1, 100)])
def test_crops_that_cannot_fit_match_torchvision(shape):
    crop = draw_crop(np.random.default_rng(0), shape, (0.9, 1.0), (0.4, 0.6))
    expected = RandomResizedCrop.get_params(
        torch.empty(3, *shape), scale=(0.9, 1.0), ratio=(0.4, 0.6)
    )
    assert (crop.top, crop.left, crop.height, crop.width) == expected


def test_places_are_uniform(records):
    rng, size, scene_size = np.random.default_rng(0), (16, 16), (18, 36)
    counts = Counter(draw_places(rng, size, scene_size) for _ in range(12000))
    possible = {
        ((top, left), (other_top, other_left))
        for top, left, other_top, other_left in np.ndindex(3, 21, 3, 21)
        if abs(left - other_left) >= 16
    }
    assert set(counts) == possible
    expected = 12000 / len(possible)
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    degrees = len(possible) - 1
    assert abs(chi_square - degrees) < 5 * math.sqrt(2 * degrees)
    for record in records:
        (top, left), (other_top, other_left) = record.places
        assert min(top, other_top) >= 0 and max(top, other_top) + 128 <= 224
        assert min(left, other_left) >= 0 and max(left, other_left) + 64 <= 224
        assert abs(left - other_left) >= 64


@pytest.mark.parametrize(
    ('size', 'scene_size', 'patch'),
    [((128, 64), (224, 224), 16), ((32, 96), (64, 224), 32), ((3, 5), (8, 12), 4)],
)
def test_masks_match_painted_pixels(size, scene_size, patch):
    rng = np.random.default_rng(0)
    places = [p for _ in range(20) for p in draw_places(rng, size, scene_size)]
    for top, left in [*places, (patch // 2, 0), (patch // 2 - 1, 0)]:
        pixels = np.zeros(scene_size)
        pixels[top : top + size[0], left : left + size[1]] = 1
        mask = paste_mask((top, left), size, scene_size, patch)
        assert mask.dtype == bool
        for i, j in np.ndindex(scene_size[0] // patch, scene_size[1] // patch):
            token = pixels[i * patch :, j * patch :][:patch, :patch]
            assert mask[i, j] == (token.mean() > 0.5)


def test_noise_of_records(records):
    noise = np.stack([record.csr_noise for record in records])
    assert noise.shape == (NUM_RECORDS, 16, 8) and noise.dtype == np.float32
    assert noise.min() >= 0 and noise.max() < 1
    assert_share(noise.ravel() < 0.25, 0.25)
    assert_share(noise[:, 15, 7] < 0.25, 0.25)


def test_records_are_small_functions_of_the_key(records):
    data = pickle.dumps(records[3])
    assert len(data) < 5000
    assert pickle.dumps(draw((0, 0, 3))) == data == pickle.dumps(pickle.loads(data))
    keys = [(0, 0, 3), (0, 0, 4), (0, 1, 3), (1, 0, 3)]
    assert len({pickle.dumps(draw(key)) for key in keys}) == 4


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(global_size=(250, 128)), r'global_size=\(250, 128\).*patch_size=16'),
        (dict(local_size=(128, 0)), r'local_size=\(128, 0\) .*positive multiples'),
        (dict(scene_size=224), r'scene_size=224 should be \(height, width\)'),
        (dict(scene_size=None), r'scene_size=None should be \(height, width\)'),
        (dict(num_locals=0), 'num_locals=0'),
        (dict(scene_size=(112, 224)), r'side by side.*at least \(128, 128\)'),
        (dict(local=CROP | dict(area=(0.8, 0.1))), r'local\.area=\(0\.8, 0\.1\) .*low'),
        (dict(global_1=CROP | dict(blur=2)), r'global_1\.blur=2 should be in \[0, 1\]'),
        (dict(global_0=None, scene=None), 'local views, and these need the anchor'),
        (dict(local=None), 'the scene needs local views'),
        (dict(flip=-0.5), r'flip=-0\.5 should be in \[0, 1\]'),
        (
            dict(colors=vars(DrawViews.colors) | dict(hue=1)),
            r'colors\.hue=1 should be in \[0, 0\.5\]',
        ),
        (dict(scene=CROP | dict(solarise=0.5)), 'solarise'),
    ],
)
def test_invalid_options(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        DrawViews(**options)
