"""Tiny data sets of drawn people, in the layouts that the readers expect."""

import functools
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from saip_mm.drawn import draw_person

SIZE = (64, 32)


@functools.cache
def person(identity: int, image: int) -> Image.Image:
    return Image.fromarray(draw_person(0, identity, image, SIZE).image)


def save_person(path: Path, identity: int, image: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    person(identity, image).save(path)


def write_pair(root: Path) -> Path:
    """One person, seen by two cameras: a query and its match, as in Market-1501."""
    for name in ('query/0002_c1s1_1_1.png', 'bounding_box_test/0002_c2s1_1_1.png'):
        (root / name).parent.mkdir(parents=True)
        Image.new('RGB', (24, 48), (200, 0, 0)).save(root / name)
    return root


def write_market1501(root: Path) -> Path:
    """Write four images per person, of four, by two cameras, junk and a distractor."""
    for identity in range(1, 5):
        for image in range(4):
            name = f'{identity:04}_c{image % 2 + 1}s1_{image:06}_00.jpg'
            save_person(root / 'bounding_box_train' / name, identity, image)
            other = f'{identity + 100:04}_c{image % 2 + 1}s1_{image:06}_00.jpg'
            save_person(root / 'bounding_box_test' / other, identity + 100, image)
        query = f'{identity + 100:04}_c1s1_000009_00.jpg'
        save_person(root / 'query' / query, identity + 100, 4)
    for i, name in enumerate(['-1_c1s1_000001_00.jpg', '0000_c2s1_000001_00.jpg']):
        save_person(root / 'bounding_box_test' / name, 500 + i, 0)
    (root / 'query' / 'Thumbs.db').write_bytes(b'')
    return root


def write_msmt17(root: Path, folders: tuple[str, str] = ('train', 'test')) -> Path:
    """Write four identities from 0, as in the original; the last is for validation."""
    lists = dict(train=[], val=[], query=[], gallery=[])
    for identity in range(4):
        for image in range(4):
            name = f'{identity:04}/{identity:04}_{image:03}_{image % 2 + 1:02}_0303.jpg'
            save_person(root / folders[0] / name, identity, image)
            save_person(root / folders[1] / name, identity + 100, image)
            part = 'val' if identity == 3 else 'train'
            lists[part].append(f'{name} {identity}')
            lists['query' if image == 0 else 'gallery'].append(f'{name} {identity}')
    for part, lines in lists.items():
        (root / f'list_{part}.txt').write_text('\n'.join(lines) + '\n')
    return root


def cells(texts: list[str]) -> np.ndarray:
    """Return a column of MATLAB cells."""
    array = np.empty((len(texts), 1), object)
    array[:, 0] = texts
    return array


def pa100k_content() -> dict:
    """Return the content of annotation.mat."""
    rng = np.random.default_rng(0)
    content = dict(attributes=cells([f'attribute{i}' for i in range(26)]))
    number = 0
    for part, size in dict(train=8, val=4, test=4).items():
        names = [f'{number + i + 1:06}.jpg' for i in range(size)]
        number += size
        content[f'{part}_images_name'] = cells(names)
        content[f'{part}_label'] = rng.integers(0, 2, (size, 26), np.uint8)
    return content


def write_pa100k(root: Path, folder: str = 'data') -> dict:
    content = pa100k_content()
    for number in range(1, 17):
        save_person(root / folder / f'{number:06}.jpg', number, 0)
    savemat(root / 'annotation.mat', content)
    return content


def write_peta(root: Path) -> np.ndarray:
    """Write 16 images and PETA.mat; return the labels [16, 105]."""
    for number in range(1, 17):
        save_person(root / 'images' / f'{number:05}.png', number, 0)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (16, 105))
    numbers = np.tile(np.arange(1, 17)[:, None], (1, 4))
    peta = np.empty((1, 1), [('data', object), ('names', object)])
    peta[0, 0] = (np.hstack([numbers, labels]), cells([f'a{i}' for i in range(105)]))
    savemat(root / 'PETA.mat', dict(peta=peta))
    parts = ['train'] * 8 + ['val'] * 4 + ['test'] * 4
    lines = [f'{i:05}.png {part}' for i, part in enumerate(parts, 1)]
    (root / 'zero_shot.txt').write_text('\n'.join(lines) + '\n')
    return labels
