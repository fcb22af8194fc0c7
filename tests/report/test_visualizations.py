"""What is shown of a model, against plain loops."""

import copy

import numpy as np
import pytest
import torch
from launch import TINY
from mmengine.config import Config
from PIL import Image
from torch.utils.data import default_collate

from saip_mm.data import PackViews
from saip_mm.evaluation import load_subject
from saip_mm.models import SAIPDataPreprocessor
from saip_mm.report.people import Gallery, People
from saip_mm.report.pictures import Picture, draw_row
from saip_mm.report.visualizations import (
    attention,
    fill_in,
    nearest,
    prepare,
    reconstruct,
    search,
    show_reconstruction,
    show_search,
)
from saip_mm.report.work_dir import Unavailable


@pytest.fixture(scope='module')
def cfg():
    return Config.fromfile(TINY)


@pytest.fixture(scope='module')
def model():
    return load_subject('random', TINY).model


@pytest.fixture(scope='module')
def samples(cfg):
    return People(cfg).samples(3)


def test_predictions_get_mean_and_deviation_of_the_true_patch():
    """Patch by patch, against `loss`'s layout: (row, column, color) in a patch."""
    torch.manual_seed(0)
    p, (h, w) = 4, (3, 2)
    images = torch.randn(2, 3, h * p, w * p, dtype=torch.double)
    prediction = torch.randn(2, h * w, 3 * p * p, dtype=torch.double)
    mask = torch.randint(2, (2, h, w)).double()
    filled = fill_in(prediction, images, mask, p)
    for b, i, j in np.ndindex(2, h, w):
        rows, columns = slice(i * p, i * p + p), slice(j * p, j * p + p)
        patch, found = (x[b, :, rows, columns].numpy() for x in (images, filled))
        if not mask[b, i, j]:
            np.testing.assert_array_equal(found, patch)
            continue
        deviation = np.sqrt(patch.var(ddof=1) + 1e-6)
        for r, c, color in np.ndindex(p, p, 3):
            value = prediction[b, i * w + j, (r * p + c) * 3 + color].item()
            expected = value * deviation + patch.mean()
            assert found[color, r, c] == pytest.approx(expected)


def test_visible_patches_are_seen_and_others_gray(model, samples):
    found = reconstruct(model, prepare(model, samples))
    visible, original = found['visible'], found['original']
    gray = (visible == 128).all(1)
    assert 0.7 < gray.float().mean() < 0.85
    for picture in (visible, found['reconstruction']):
        same = (picture == original).all(1)
        assert same[~gray].all()
    assert (found['reconstruction'] != original).any()


def test_the_stranger_is_the_next_person(model, samples):
    """The middle of three people, searched alone."""
    right, stranger = search(model, prepare(model, samples))
    for number, found in ((1, right[1]), (2, stranger[1])):
        inputs = prepare(model, samples)
        with torch.no_grad():
            query = model.teacher['encoder'](inputs['globals'][number : number + 1, 0])
            scene = model.teacher['encoder'](inputs['scene'][1:2])
            logits = model.search([query.middle_tokens], scene.middle_map)
        torch.testing.assert_close(found, logits[0, 0].sigmoid())


def test_attention_is_that_of_the_class_token(model):
    images = torch.randint(256, (2, 3, 64, 32), dtype=torch.uint8)
    maps = attention(model, images)
    assert maps.shape == (2, 3, 4, 2)
    seen = []
    layer = model.teacher['encoder'].backbone.layers[-1]
    hook = layer.ln1.register_forward_hook(lambda *args: seen.append(args[2]))
    preprocessor = model.data_preprocessor
    model.teacher['encoder']((images - preprocessor.mean) / preprocessor.std)
    hook.remove()
    qkv = layer.attn.qkv(seen[0]).unflatten(2, (3, 3, 8))
    query, key = qkv[:, 0, 0], qkv[:, :, 1]  # [B, heads, 8], [B, N, heads, 8]
    for head in range(3):
        scores = (key[:, :, head] @ query[:, head, :, None])[..., 0] / 8**0.5
        expected = scores.softmax(1)[:, 1:].unflatten(1, (4, 2))
        torch.testing.assert_close(maps[:, head], expected)


def test_neighbors_against_a_plain_loop():
    rng = np.random.default_rng(0)
    features = torch.from_numpy(rng.normal(size=(30, 4)))
    ids, cameras = rng.integers(4, size=30), rng.integers(2, size=30)
    gallery = Gallery(torch.zeros(30, 3, 1, 1), ids, cameras, True)
    for query, found in enumerate(nearest(features, gallery, np.arange(30), 28)):
        allowed = []
        for i in range(30):
            if ids[i] != ids[query] or cameras[i] != cameras[query]:
                a, b = features[i], features[query]
                allowed.append(((a @ b / a.norm() / b.norm()).item(), i))
        expected = [i for _, i in sorted(allowed, reverse=True)[:28]]
        assert found.tolist() == expected + [-1] * (28 - len(expected))


def test_missing_heads(cfg, samples):
    cfg = copy.deepcopy(cfg)
    cfg.model.update(search=None, reconstruction=None)
    model = load_subject('random', cfg).model
    for show in (show_search, show_reconstruction):
        with pytest.raises(Unavailable, match='has no .* head'):
            show(model, samples)


def test_views_are_those_that_the_model_makes(cfg):
    """Of images that are shrunk to the canvas."""
    cfg, canvas = copy.deepcopy(cfg), (32, 32)
    cfg.train_dataloader.dataset.pipeline[-1] = dict(type='PackViews', canvas=canvas)
    model = SAIPDataPreprocessor((0, 0, 0), (1, 1, 1), scales=(1.0,))
    for sample in People(cfg).samples(3):
        batch = default_collate([PackViews(canvas).transform(sample)['inputs']])
        made = model(dict(inputs=batch))['inputs']
        for name, view in sample['inputs'].items():
            torch.testing.assert_close(view, made[name][0].to(view))


def test_held_out_people_are_others(cfg):
    people, training = People(cfg), cfg.train_dataloader.dataset
    assert people.dataset.seed != training.get('seed', 0)
    assert people.dataset.scenes.seed != training.scenes.get('seed', 0)
    assert 'pipeline' in training and len(training.pipeline) == 2  # left as it was
    gallery = people.gallery()
    assert gallery.images.shape == (192, 3, 64, 32)
    counts = np.unique(gallery.pids, return_counts=True)[1]
    assert (counts == 8).all() and len(counts) == 24
    sources = {sample['source'] for sample in people.samples(5)}
    assert len({source.rsplit('identity')[1] for source in sources}) == 5


def test_rows_of_very_narrow_images():
    row = draw_row([Picture(Image.new('RGB', (2, 3000), 'red'), 'narrow')])
    assert row.getpixel((0, 0)) == (255, 0, 0)


def test_captions_do_not_touch():
    narrow, wide = (Image.new('RGB', (x, 160), 'white') for x in (20, 300))
    long = draw_row([Picture(narrow, 'roi, inst'), Picture(wide, '')], height=None)
    short = draw_row([Picture(narrow, ''), Picture(wide, '')], height=None)
    assert long.width > short.width
