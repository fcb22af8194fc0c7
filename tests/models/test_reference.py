"""The named tensors against the generator that the reference cases came from."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import reference_tensors as reference

from saip_mm.models.preprocessor import scaled_size


@pytest.fixture
def original(test_data: Path) -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(test_data / 'reference/inputs.py')))


@pytest.mark.parametrize('role', ['student', 'teacher'])
@pytest.mark.parametrize(
    'key',
    [
        'backbone.cls_token',
        'backbone.norm.weight',
        'backbone.norm.bias',
        'backbone.blocks.11.norm2.weight',
        'backbone.blocks.0.attn.qkv.weight',
        'csm_decoder.last_layer.weight_g',
        'csm_decoder.last_layer.weight_v',
    ],
)
def test_weights_to_the_last_bit(original, role, key):
    ours = reference.weight('case-x', role, key, [7, 5])
    theirs = original.weight('case-x', role, key, [7, 5])
    assert ours.dtype == theirs.dtype == np.float32
    np.testing.assert_array_equal(ours, theirs)


def test_views_to_the_last_bit(original):
    theirs = original.view('case-x', 1, 'local_3', (2, 3, 32, 16))
    ours = reference.view('case-x', 1, 'local_3', (2, 3, 32, 16))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize('scale', [0.1, 0.75, 0.875, 1, 1.125, 1.25])
@pytest.mark.parametrize('size', [(128, 64), (256, 128), (96, 32), (224, 224)])
def test_scaled_sizes(original, size, scale):
    assert scaled_size(size, scale, 16) == original.scaled(size, scale)


def test_known_numbers():
    """First values as the original generator printed them."""
    gain = reference.weight('case-a', 'student', 'backbone.norm.weight', [192])
    image = reference.view('case-a', 0, 'global_0', [2, 3, 256, 128])
    known = np.float32([1.0115527, 0.9879833, 1.0050633])
    np.testing.assert_array_equal(gain[:3], known)
    known = np.float32([0.699955, -0.93693906, 0.68446565])
    np.testing.assert_array_equal(image.flat[:3], known)
