"""Fixtures: folders of images, some of which cannot be used, and their shards."""

import json

import numpy as np
import pytest
from launch import call
from PIL import Image

BOXES = [[0, 0, 100, 150], [200, 50, 50, 100], [0, 0, 5, 5]]


def noise(rng: np.random.Generator) -> Image.Image:
    return Image.fromarray(rng.integers(0, 255, (80, 40, 3), np.uint8))


def oriented(orientation: int) -> Image.Exif:
    """EXIF data with an orientation, from 1 to 8."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def cut(source, path) -> None:
    """Write the first half of a file."""
    content = source.read_bytes()
    path.write_bytes(content[: len(content) // 2])


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
        noise(rng).save(folder / f'{i:02}.jpg')
    cut(folder / '03.jpg', folder / '03.jpg')
    Image.new('RGB', (50000, 2)).save(folder / '05.png')
    (folder / '05.jpg').unlink()
    return folder


@pytest.fixture
def folder(tmp_path):
    """Thirteen images of several formats, the last of which is truncated."""
    folder = tmp_path / 'people'
    folder.mkdir()
    rng = np.random.default_rng(0)
    kinds = dict(jpg='RGB', png='RGBA', webp='RGB', bmp='L', tif='CMYK')
    for i in range(12):
        kind = list(kinds)[i % len(kinds)]
        options = dict(exif=oriented(1 + i % 4)) if kind in ('jpg', 'webp') else {}
        noise(rng).convert(kinds[kind]).save(folder / f'{i:02}.{kind}', **options)
    cut(folder / '00.jpg', folder / '12.jpg')
    return folder


def pack(source, out, *options: object) -> int | None:
    arguments = ['--images-per-shard', 5, '--processes', 2, *options]
    return call('tools/pack_shards.py', source, out, *arguments)


@pytest.fixture
def shards(folder, tmp_path):
    pack(folder, tmp_path / 'shards')
    return tmp_path / 'shards'


@pytest.fixture
def photos(tmp_path):
    """Two photographs, gray on the left and darker on the right half."""
    image = np.full((200, 300, 3), 200, np.uint8)
    image[:, 150:] = 60
    for name in ('a.png', 'sub/a.jpg'):
        path = tmp_path / 'photos' / name
        path.parent.mkdir(exist_ok=True, parents=True)
        Image.fromarray(image).save(path)
    return tmp_path / 'photos'


def annotate(folder, names, boxes):
    """Annotate each photograph with the same boxes."""
    images = [dict(id=i, file_name=name) for i, name in enumerate(names)]
    annotations = [
        dict(id=len(boxes) * i + j, image_id=i, category_id=1, bbox=box)
        for i in range(len(names))
        for j, box in enumerate(boxes)
    ]
    content = dict(images=images, annotations=annotations)
    (folder / 'boxes.json').write_text(json.dumps(content))
    return folder / 'boxes.json'
