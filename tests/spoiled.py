"""Fixture: images, some of which cannot be used."""

import json

import numpy as np
import pytest
from PIL import Image


def listed(path) -> list[dict]:
    """Return the entries of a list of bad images."""
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def photographs(tmp_path):
    """A folder of twelve images, of which 3 and 5 cannot be used."""
    folder = tmp_path / 'people'
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(12):
        pixels = rng.integers(0, 255, (80, 40, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f'{i:02}.jpg')
    content = (folder / '03.jpg').read_bytes()
    (folder / '03.jpg').write_bytes(content[: len(content) // 2])
    Image.new('RGB', (50000, 2)).save(folder / '05.png')
    (folder / '05.jpg').unlink()
    return folder
