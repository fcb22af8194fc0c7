import numpy as np
import pytest
import torch
from PIL import Image

from saip_mm.data.pixels import normalize, resize, to_tensor


@pytest.mark.parametrize('size', [(32, 48), (100, 20)])
def test_resize_is_pillows_for_any_leading_dimensions(size):
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 40, 3), np.uint8)
    resized = resize(torch.from_numpy(images).movedim(-1, -3), size)
    for i, j in np.ndindex(2, 3):
        expected = Image.fromarray(images[i, j]).resize(size[::-1], Image.BICUBIC)
        difference = resized[i, j].int() - to_tensor(np.array(expected)).int()
        assert difference.abs().max() <= 2


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_normalize(dtype):
    image = np.random.default_rng(0).integers(0, 256, (8, 4, 3), np.uint8)
    mean, std = np.array([120.0, 110, 100]), np.array([58.0, 57, 56])
    mean_std = (torch.tensor(each, dtype=dtype).view(3, 1, 1) for each in (mean, std))
    normalized = normalize(to_tensor(image)[None], *mean_std)
    assert normalized.dtype == dtype
    np.testing.assert_allclose(
        normalized[0].permute(1, 2, 0), (image - mean) / std, rtol=1e-5, atol=1e-6
    )
