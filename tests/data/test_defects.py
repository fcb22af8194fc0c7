"""Eight formats with eight defects each: named, and replaced during training."""

import struct
import zlib
from itertools import product

import numpy as np
import pytest
from image_files import cut, listed
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from saip_mm.data import PersonImages
from saip_mm.data.images import ImageError
from saip_mm.data.quarantine import Quarantine

FORMATS = ['jpg', 'png', 'webp', 'bmp', 'tif', 'gif', 'jp2', 'ppm']
SIZE = (40, 80)  # w, h


def whole(path) -> bytes:
    pixels = np.random.default_rng(7).integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path.read_bytes()


def half(path) -> None:
    whole(path)
    cut(path, path)


def header(path) -> None:
    path.write_bytes(whole(path)[:12])


def empty(path) -> None:
    path.write_bytes(b'')


def text(path) -> None:
    path.write_text('<html>404 Not Found</html>')


def missing(path) -> None:
    path.unlink()


def folder(path) -> None:
    path.unlink()
    path.mkdir()


def one_pixel(path) -> None:
    Image.new('RGB', (1, 1)).save(path)


def long_and_thin(path) -> None:
    width = 16_000 if path.suffix == '.webp' else 50_000  # the format's own limit
    Image.new('RGB', (width, 2)).save(path)


DEFECTS = [half, header, empty, text, missing, folder, one_pixel, long_and_thin]


def first_image(root) -> np.ndarray:
    dataset = PersonImages(str(root))
    return dataset.load_image(dataset.get_data_info(0))


@pytest.mark.parametrize('side', [8000, 40_000])  # below and above Pillow's limit
def test_decompression_bombs_are_not_decoded(tmp_path, side):
    """A PNG with many pixels in a few hundred bytes."""
    size = struct.pack('>IIBBBBB', side, side, 8, 2, 0, 0, 0)
    chunks = [(b'IHDR', size), (b'IDAT', zlib.compress(bytes(1000))), (b'IEND', b'')]
    with open(tmp_path / 'bomb.png', 'wb') as file:
        file.write(b'\x89PNG\r\n\x1a\n')
        for name, body in chunks:
            checksum = zlib.crc32(name + body)
            file.write(struct.pack('>I', len(body)) + name + body)
            file.write(struct.pack('>I', checksum))
    with pytest.raises(ImageError, match='bomb.png: .*shrink the image'):
        first_image(tmp_path)


class Images(Dataset):
    """Images of a data set by their keys, without views."""

    def __init__(self, people: PersonImages) -> None:
        self.people = people

    def __getitem__(self, key: tuple[int, int, int]) -> np.ndarray:
        return self.people.load(key[-1], key)


def test_defective_images_are_named_and_replaced(tmp_path):
    """Each format with each defect, and a whole image beside it."""
    people = tmp_path / 'people'
    people.mkdir()
    spoiled = {}
    for number, (defect, kind) in enumerate(product(DEFECTS, FORMATS)):
        spoiled[2 * number] = defect
        for index in (2 * number, 2 * number + 1):
            whole(people / f'{index:03}.{kind}')
    dataset = PersonImages(str(people))
    paths = [people / dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]
    for index, defect in spoiled.items():
        assert dataset.load_image(dataset.get_data_info(index)).shape == (80, 40, 3)
        defect(paths[index])
        with pytest.raises(ImageError, match=str(paths[index])):
            dataset.load_image(dataset.get_data_info(index))
    keys = [(0, 0, index) for index in range(len(dataset))]
    runs = []
    for workers in (0, 2):
        path = tmp_path / f'{workers}.jsonl'
        dataset.quarantine = Quarantine(path, len(dataset), max_share=0.6)
        loader = DataLoader(Images(dataset), None, sampler=keys, num_workers=workers)
        runs.append([image.numpy() for image in loader])
        assert sorted(entry['index'] for entry in listed(path)) == list(spoiled)
    for ours, other in zip(*runs, strict=True):
        np.testing.assert_array_equal(ours, other)
