"""Features without a network, against OpenCV and numpy; and those of a backbone."""

import cv2
import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS

from saip_mm.evaluation import Subject
from saip_mm.evaluation.features import (
    BackboneFeatures,
    BaselineFeatures,
    Embedded,
    color_histogram,
    small_pixels,
    striped_histogram,
)


@pytest.fixture(scope='module')
def images():
    return np.random.default_rng(0).integers(0, 256, (70, 64, 32, 3), np.uint8)


def batch(images):
    return torch.from_numpy(images).permute(0, 3, 1, 2).float()


def test_histograms_are_numpys(images):
    """Of whole images, and of six stripes one below the other."""
    images = images[:, :60]
    whole, striped = (f(batch(images)) for f in (color_histogram, striped_histogram))
    for image, *found in zip(images, whole, striped.view(70, 6, 64), strict=True):
        parts = [image, *image.reshape(6, 10, 32, 3)]
        for part, roots in zip(parts, [found[0], *found[1]], strict=True):
            counts, _ = np.histogramdd(part.reshape(-1, 3), 4, [(0, 256)] * 3)
            expected = counts.ravel() / counts.sum()
            np.testing.assert_allclose(roots.numpy() ** 2, expected, atol=1e-6)


def test_pixels_are_opencvs(images):
    for image, values in zip(images, small_pixels(batch(images)), strict=True):
        small = cv2.resize(image.astype(float), (4, 8), interpolation=cv2.INTER_AREA)
        expected = (small - small.mean()).transpose(2, 0, 1).ravel()
        np.testing.assert_allclose(values.numpy(), expected, atol=1e-3)


def test_embedding_keeps_order_over_batches(images):
    features = BaselineFeatures('mean-color', (64, 32))
    embedded = Subject(features).embed(iter(images))
    np.testing.assert_allclose(embedded.image, images.mean(axis=(1, 2)), rtol=1e-6)
    assert embedded.patches is None


@pytest.mark.parametrize('where', ['image', 'patches'])
def test_features_that_are_not_finite_are_refused(images, where):
    class Overflow(BaselineFeatures):
        def __call__(self, batch, patches=False):
            tokens = dict(image=super().__call__(batch).image)
            found = Embedded(tokens, torch.zeros(len(batch), 3, 2, 2))
            (found.image if where == 'image' else found.patches)[1] = torch.nan
            return found

    subject = Subject(Overflow('mean-color', (64, 32)))
    with pytest.raises(ValueError, match='features are not finite'):
        subject.embed(images[:4], patches=True)


def test_a_backbone_gives_its_tokens_for_normalized_images(images):
    arch = dict(embed_dims=24, num_layers=4, num_heads=3, feedforward_channels=48)
    vit = MODELS.build(dict(type='SAIPViT', arch=arch, img_size=(64, 32)))
    vit.init_weights()
    mean, std = torch.tensor([120.0, 110, 100]), torch.tensor([50.0, 60, 70])
    features = BackboneFeatures(vit.eval(), mean, std)
    assert features.size == (64, 32)
    embedded = Subject(features).embed(images, patches=True)
    assert embedded.patches.shape == (70, 48, 4, 2)
    normalized = (batch(images[-1:]) - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    with torch.no_grad():
        encoded, (last,) = vit.encode(normalized), vit(normalized)
    expected = torch.cat([encoded.middle_map, last], dim=1)
    torch.testing.assert_close(embedded.image[-1:], encoded.image_token)
    torch.testing.assert_close(embedded.tokens['middle'][-1:], encoded.middle_token)
    mean = last.mean(dim=(2, 3))
    torch.testing.assert_close(embedded.tokens['mean'][-1:], mean)
    both = torch.cat([x / x.norm() for x in (encoded.image_token, mean)], dim=1)
    torch.testing.assert_close(embedded.tokens['image+mean'][-1:], both)
    rows = last.mean(dim=3).flatten(1)  # each is one of the four stripes
    both = torch.cat([x / x.norm() for x in (encoded.image_token, rows)], dim=1)
    torch.testing.assert_close(embedded.tokens['image+stripes'][-1:], both)
    torch.testing.assert_close(embedded.patches[-1:], expected)
    other = torch.rand(2, 3, 48, 80) * 255  # any grid
    assert features(other, patches=True).patches.shape == (2, 48, 3, 5)
