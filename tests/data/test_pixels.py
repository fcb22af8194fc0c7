import numpy as np
import pytest
import torch
from PIL import Image

from saip_mm.data.pixels import normalize, resize, to_tensor


@pytest.mark.parametrize('size', [(32, 48), (100, 20)])
def test_resize_matches_pillow(size):
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 40, 3), np.uint8)
    resized = resize(torch.from_numpy(images).movedim(-1, -3), size)
    for i, j in np.ndindex(2, 3):
        expected = Image.fromarray(images[i, j]).resize(size[::-1], Image.BICUBIC)
        difference = resized[i, j].int() - to_tensor(np.array(expected)).int()
        assert difference.abs().max() <= 2


def test_normalize():
    image = np.random.default_rng(0).integers(0, 256, (8, 4, 3), np.uint8)
    mean, std = np.array([120.0, 110, 100]), np.array([58.0, 57, 56])
    tensors = (torch.from_numpy(each).view(3, 1, 1) for each in (mean, std))
    normalized = normalize(to_tensor(image)[None], *tensors)[0].permute(1, 2, 0)
    np.testing.assert_allclose(normalized, (image - mean) / std, rtol=1e-12)
