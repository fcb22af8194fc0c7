"""Fixtures: images of several formats, and their shards."""

import numpy as np
import pytest
from launch import call
from PIL import Image


@pytest.fixture
def folder(tmp_path):
    """Thirteen images of several formats, the last of which is truncated."""
    folder = tmp_path / 'people'
    folder.mkdir()
    rng = np.random.default_rng(0)
    kinds = dict(jpg='RGB', png='RGBA', webp='RGB', bmp='L', tif='CMYK')
    for i in range(12):
        pixels = Image.fromarray(rng.integers(0, 255, (80, 40, 3), np.uint8))
        kind = list(kinds)[i % len(kinds)]
        exif = Image.Exif()
        exif[0x112] = 1 + i % 4
        options = dict(exif=exif) if kind in ('jpg', 'webp') else {}
        pixels.convert(kinds[kind]).save(folder / f'{i:02}.{kind}', **options)
    content = (folder / '00.jpg').read_bytes()
    (folder / '12.jpg').write_bytes(content[: len(content) // 2])
    return folder


def pack(source, out, *options: object) -> int | None:
    arguments = ['--images-per-shard', 5, '--processes', 2, *options]
    return call('tools/pack_shards.py', source, out, *arguments)


@pytest.fixture
def shards(folder, tmp_path):
    pack(folder, tmp_path / 'shards')
    return tmp_path / 'shards'
