import math
import pickle

import numpy as np
import pytest
import torch
from torchvision.transforms import RandomResizedCrop

from saip_mm.data.draw_views import (
    COLORS,
    DrawViews,
    draw_crop,
    draw_places,
    paste_mask,
)

NUM_RECORDS = 1500


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
        assert view.size == size
        assert 0 <= crop.top <= crop.top + crop.height <= height
        assert 0 <= crop.left <= crop.left + crop.width <= width
        # Whole pixels may miss a range by one pixel's share.
        slack = 1 / crop.height + 1 / crop.width
        share = crop.height * crop.width / (height * width)
        assert area[0] * (1 - slack) <= share <= area[1] * (1 + slack)
        ratio = crop.width / crop.height
        assert aspect[0] * (1 - slack) <= ratio <= aspect[1] * (1 + slack)
        assert view.solarize in (None, 128)
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


def test_what_views_share(records):
    for record in records:
        anchor = record.globals[0]
        for view in (*record.locals, record.roi):
            assert (view.flip, view.colors) == (anchor.flip, anchor.colors)
        crops = {view.crop for view in (*record.locals, record.roi)}
        assert len(crops) == 7
    for other in ('global_1', 'scene'):
        pairs = zip(of_kind(records, 'global_0'), of_kind(records, other), strict=True)
        flips, colors = zip(
            *((a.flip == b.flip, a.colors == b.colors) for a, b in pairs),
            strict=True,
        )
        assert_share(flips, 0.5)
        # Alike only where neither is jittered and both or none are gray.
        assert_share(colors, 0.2**2 * (0.2**2 + 0.8**2))


@pytest.mark.parametrize(
    ('shape', 'area', 'aspect'),
    [
        ((300, 150), (0.05, 0.8), (0.4, 0.6)),
        ((200, 320), (0.2, 1.0), (0.75, 4 / 3)),
        ((16, 8), (0.05, 0.8), (0.4, 0.6)),
        ((100, 90), (0.8, 1.0), (0.4, 0.6)),  # some do not fit
    ],
)
def test_crops_are_distributed_as_torchvision_draws_them(shape, area, aspect):
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
def test_crop_that_cannot_fit_is_torchvisions_central_one(shape):
    crop = draw_crop(np.random.default_rng(0), shape, (0.9, 1.0), (0.4, 0.6))
    expected = RandomResizedCrop.get_params(
        torch.empty(3, *shape), scale=(0.9, 1.0), ratio=(0.4, 0.6)
    )
    assert (crop.top, crop.left, crop.height, crop.width) == expected


def test_places_are_uniform():
    rng, size, scene_size = np.random.default_rng(0), (16, 16), (18, 36)
    counts = {}
    for _ in range(12000):
        places = draw_places(rng, size, scene_size)
        counts[places] = counts.get(places, 0) + 1
    possible = {
        ((top, left), (other_top, other_left))
        for top in range(3)
        for left in range(21)
        for other_top in range(3)
        for other_left in range(21)
        if abs(left - other_left) >= 16
    }
    assert set(counts) == possible
    expected = 12000 / len(possible)
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    degrees = len(possible) - 1
    assert abs(chi_square - degrees) < 5 * math.sqrt(2 * degrees)


def test_places_of_records(records):
    for record in records:
        (top, left), (other_top, other_left) = record.places
        assert min(top, other_top) >= 0 and max(top, other_top) + 128 <= 224
        assert min(left, other_left) >= 0 and max(left, other_left) + 64 <= 224
        assert abs(left - other_left) >= 64
    assert_share((record.places[0][1] < record.places[1][1] for record in records), 0.5)


@pytest.mark.parametrize(
    ('size', 'scene_size', 'patch'),
    [((128, 64), (224, 224), 16), ((32, 96), (64, 224), 32), ((3, 5), (8, 12), 4)],
)
def test_masks_match_painted_pixels(size, scene_size, patch):
    rng = np.random.default_rng(0)
    for _ in range(20):
        for place in draw_places(rng, size, scene_size):
            pixels = np.zeros(scene_size)
            for y in range(size[0]):
                for x in range(size[1]):
                    pixels[place[0] + y, place[1] + x] = 1
            mask = paste_mask(place, size, scene_size, patch)
            assert mask.dtype == bool
            for i in range(scene_size[0] // patch):
                for j in range(scene_size[1] // patch):
                    token = pixels[i * patch :, j * patch :][:patch, :patch]
                    assert mask[i, j] == (token.mean() > 0.5)


def test_half_a_token_is_outside():
    half = paste_mask((8, 0), (16, 16), (32, 32), 16)
    assert not half.any()
    more = paste_mask((7, 0), (16, 16), (32, 32), 16)
    assert more.tolist() == [[True, False], [False, False]]


def test_masks_of_records(records):
    for record in records[:20]:
        assert record.scene_masks.shape == (2, 14, 14)
        for mask, place in zip(record.scene_masks, record.places, strict=True):
            assert (mask == paste_mask(place, (128, 64), (224, 224), 16)).all()


def test_noise(records):
    noise = np.stack([record.csr_noise for record in records])
    assert noise.shape == (NUM_RECORDS, 16, 8) and noise.dtype == np.float32
    assert noise.min() >= 0 and noise.max() < 1
    assert_share(noise.ravel() < 0.25, 0.25)
    assert_share(noise[:, 15, 7] < 0.25, 0.25)


def test_records_are_small_and_a_function_of_the_key(records):
    data = pickle.dumps(records[3])
    assert len(data) < 5000
    assert pickle.dumps(draw((0, 0, 3))) == data == pickle.dumps(pickle.loads(data))
    keys = [(0, 0, 3), (0, 0, 4), (0, 1, 3), (1, 0, 3)]
    assert len({pickle.dumps(draw(key)) for key in keys}) == 4


@pytest.mark.parametrize('image', [(16, 8), (1, 1), (2000, 20), (20, 2000)])
def test_any_source_gives_crops_inside(image):
    for index in range(20):
        record = draw((0, 0, index), image=image, scene=image)
        for view in (*record.globals, *record.locals, record.roi, record.scene):
            crop = view.crop
            assert crop.height > 0 and crop.top + crop.height <= image[0]
            assert crop.width > 0 and crop.left + crop.width <= image[1]


def test_strengths_of_zero():
    colors = dict(jitter=1, brightness=0, contrast=0, saturation=0, hue=0, gray=0)
    jitter = dict(draw((0, 0, 0), colors=colors).roi.colors.jitter)
    assert jitter == dict(brightness=1, contrast=1, saturation=1, hue=0)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(global_size=(250, 128)), r'global_size=\(250, 128\).*patch_size=16'),
        (dict(local_size=(128, 0)), r'local_size=\(128, 0\) .*whole patches'),
        (dict(scene_size=(224, 230)), r'scene_size=\(224, 230\) .*whole patches'),
        (dict(patch_size=0), 'patch_size=0'),
        (dict(num_locals=0), 'num_locals=0'),
        (dict(scene_size=(112, 224)), r'side by side.*at least \(128, 128\)'),
        (dict(scene_size=(224, 112)), r'side by side.*at least \(128, 128\)'),
        (
            dict(local=dict(area=(0.8, 0.05), aspect=(0.4, 0.6))),
            r'local\.area=\(0\.8, 0\.05\) is no range: give \(low, high\)',
        ),
        (
            dict(scene=dict(area=(0.2, 1.5), aspect=(0.4, 0.6))),
            r'scene\.area=.* <= 1',
        ),
        (
            dict(global_0=dict(area=(0.2, 1), aspect=(0, 0.6))),
            r'global_0\.aspect=\(0, 0\.6\)',
        ),
        (
            dict(global_1=dict(area=(0.2, 1), aspect=(0.4, 0.6), blur=2)),
            r'global_1\.blur=2 is no probability',
        ),
        (dict(flip=-0.5), 'flip=-0.5 is no probability'),
        (dict(paste_opacity=70), 'paste_opacity=70'),
        (dict(blur_sigma=(2, 1)), r'blur_sigma=\(2, 1\)'),
        (dict(solarize_threshold=300), 'solarize_threshold=300'),
        (dict(colors=COLORS | dict(hue=1)), r'colors\.hue=1: give .* from 0 to 0\.5'),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        DrawViews(**options)


def test_misspelt_options():
    with pytest.raises(TypeError, match='solarise'):
        DrawViews(scene=dict(area=(0.2, 1), aspect=(1, 1), solarise=0.5))
    with pytest.raises(TypeError, match='num_local'):
        DrawViews(num_local=6)
