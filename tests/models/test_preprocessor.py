"""SAIPDataPreprocessor against Pillow and plain arithmetic."""

import numpy as np
import pytest
import torch
from PIL import Image

from saip_mm.models import SAIPDataPreprocessor


def draw_batch() -> dict:
    generator = torch.Generator().manual_seed(0)

    def images(*shape):
        coarse = torch.randint(0, 256, (2, *shape), generator=generator)
        return coarse.to(torch.uint8)

    return dict(
        inputs=dict(
            globals=images(2, 3, 64, 32),
            locals=images(2, 3, 32, 16),
            roi=images(3, 32, 16),
            inst=images(3, 32, 16),
            scene=images(3, 64, 64),
            scene_masks=images(2, 4, 4) > 127,
            csr_noise=torch.rand(2, 4, 2, generator=generator),
        )
    )


def test_views_are_normalized_and_rescaled_as_pillow_does():
    mean, std = (10.0, 20.0, 30.0), (2.0, 4.0, 8.0)
    preprocessor = SAIPDataPreprocessor(mean, std, csr_scale=1.5)
    data = draw_batch() | dict(scales=(0.5, 2.0))
    views = preprocessor(data, True)['inputs']

    def back(images):  # to uint8 values, channels last
        values = images.movedim(-3, -1) * torch.tensor(std) + torch.tensor(mean)
        return values.numpy()

    for name in ('globals', 'locals', 'scene'):
        raw = data['inputs'][name].movedim(-3, -1).numpy()
        np.testing.assert_allclose(back(views[name]), raw, atol=1e-4)
    for name, source, size in (
        ('roi', data['inputs']['roi'], (16, 16)),
        ('inst', data['inputs']['inst'], (64, 32)),
        ('csr', data['inputs']['globals'][:, 1], (96, 48)),
    ):
        assert views[name].shape == (2, 3, *size)
        for ours, image in zip(back(views[name]), source, strict=True):
            image = Image.fromarray(image.permute(1, 2, 0).numpy())
            expected = np.asarray(image.resize(size[::-1], Image.Resampling.BICUBIC))
            np.testing.assert_allclose(ours, expected, atol=1.01)
    assert torch.equal(views['scene_masks'], data['inputs']['scene_masks'])
    assert torch.equal(views['csr_noise'], data['inputs']['csr_noise'])


def test_scales_follow_from_seed_and_step_and_use_all_choices():
    one, other = SAIPDataPreprocessor(), SAIPDataPreprocessor()
    seen = [one.draw_scales(3, step) for step in range(400)]
    assert seen == [other.draw_scales(3, step) for step in range(400)]
    pairs, counts = np.unique(seen, axis=0, return_counts=True)
    assert len(pairs) == 16  # roi and inst are independent
    assert counts.min() > 8
    assert any(one.draw_scales(4, step) != seen[step] for step in range(20))


def test_missing_scales():
    with pytest.raises(KeyError, match=r"type='SAIPHook'.*scales=\(1.0,\) for DPAL"):
        SAIPDataPreprocessor()(dict())
