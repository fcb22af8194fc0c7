"""Keypoints and parts of photographs."""

import json
import struct
import zlib

import numpy as np
import pytest
import torch
from image_files import oriented
from PIL import Image

from saip_mm.evaluation import RealPeople, Subject, probe_real
from saip_mm.evaluation.features import Embedded


class Brightness:
    """Patches that say how bright they are, and all else of nothing."""

    size, has_patches = (64, 32), True

    def __call__(self, images, patches=False):
        maps = torch.nn.functional.avg_pool2d(images.float(), 4)
        return Embedded(dict(image=maps.mean((2, 3))), maps)


def probe(**people):
    (scores,) = probe_real(Subject(Brightness()), RealPeople(**people))
    return scores


def photographs(folder, count):
    """Photographs with two people each, who have a white dot for a nose."""
    rng, images, annotations = np.random.default_rng(0), [], []
    for i in range(count):
        pixels = np.full((120, 200, 3), 128, np.uint8)  # as what crops are padded with
        for left in (10, 110):
            x, y = left + rng.integers(10, 60), rng.integers(20, 90)
            pixels[y - 4 : y + 5, x - 4 : x + 5] = 255
            annotation = dict(id=len(annotations), image_id=i, category_id=1)
            annotation['bbox'] = [left, 5, 70, 100]
            annotation['keypoints'] = [int(x), int(y), 2, 0, 0, 0]
            annotations.append(annotation)
        Image.fromarray(pixels).save(folder / f'{i}.png')
        images.append(dict(id=i, file_name=f'{i}.png', height=120, width=200))
    content = dict(images=images, annotations=annotations)
    content['categories'] = [dict(id=1, name='person')]
    (folder / 'ann.json').write_text(json.dumps(content))
    return folder / 'ann.json'


def test_keypoints_of_photographs(tmp_path):
    ann = photographs(tmp_path, 60)
    scores = probe(coco=[tmp_path, ann])
    assert scores == {'coco/PCK': pytest.approx(1, abs=0.11)}


def test_too_few_people(tmp_path):
    ann = photographs(tmp_path, 2)
    with pytest.raises(ValueError, match=r'ann\.json: 2 people for fitting and 2 for'):
        probe(coco=[tmp_path, ann])
    (tmp_path / '1.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'1 of 2 files .*: 1\.png; give the'):
        probe(coco=[tmp_path, ann])


def test_keypoints_of_other_photographs(tmp_path):
    """Fitted to one set, tested on another; they need as many keypoints."""
    sets = []
    for name in ('train', 'test'):
        (tmp_path / name).mkdir()
        sets += [tmp_path / name, photographs(tmp_path / name, 40)]
    scores = probe(coco=sets)
    assert scores == {'coco/PCK': pytest.approx(1, abs=0.11)}
    content = json.loads(sets[3].read_text())
    for annotation in content['annotations']:
        annotation['keypoints'] += [0, 0, 0]
    sets[3].write_text(json.dumps(content))
    with pytest.raises(ValueError, match='has 3 keypoints per person, .* has 2'):
        probe(coco=sets)
    with pytest.raises(ValueError, match='give IMAGES ANN'):
        RealPeople(coco=sets[:3])
    for kind in ('reid', 'coco'):
        with pytest.raises(ValueError, match=f'{kind}=.*: give a list of paths'):
            RealPeople(**{kind: 'data'})
    with pytest.raises(ValueError, match='two folders have the same name'):
        RealPeople(reid=['a/market', tmp_path / 'market'])


def test_people_outside_a_photograph_of_unknown_size(tmp_path):
    ann = photographs(tmp_path, 10)
    content = json.loads(ann.read_text())
    for image in content['images']:
        del image['height'], image['width']
    known = probe(coco=[tmp_path, ann])
    outside = dict(content['annotations'][0], id=20, bbox=[300, 5, 70, 100])
    content['annotations'].append(outside)
    ann.write_text(json.dumps(content))
    assert probe(coco=[tmp_path, ann]) == known
    for annotation in content['annotations']:
        annotation['bbox'][0] += 300
    ann.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f'{tmp_path}: no person has 64x32 pixels'):
        probe(coco=[tmp_path, ann])


def label_maps(folder, count):
    """Images of gray blocks whose labels are how bright they are; stored rotated."""
    rng = np.random.default_rng(0)
    for part in ('train', 'test'):
        for kind in ('images', 'labels'):
            (folder / part / kind).mkdir(parents=True)
        for i in range(count):
            blocks = rng.integers(0, 3, (4, 2), np.uint8).repeat(32, 0).repeat(32, 1)
            shown = Image.fromarray(np.rot90(blocks) * 100)
            shown.save(folder / part / f'images/{i}.jpg', exif=oriented(6))
            Image.fromarray(blocks).save(folder / part / f'labels/{i}.png')
    return folder


@pytest.mark.parametrize(
    'name, scored', [('gray', 'gray'), ('mine/parts', 'mine-parts')]
)
def test_parts_of_photographs(name, scored, tmp_path):
    """Scores of a folder do not replace those of drawn people."""
    scores = probe(parts=label_maps(tmp_path / name, 20))
    assert scores == {f'{scored}/mIoU': pytest.approx(1, abs=0.11)}


def test_label_maps_that_cannot_be_used(tmp_path):
    label_maps(tmp_path, 2)
    path = tmp_path / 'train/labels/1.png'
    Image.new('L', (9, 9)).save(path)
    with pytest.raises(ValueError, match=r'1.png: has 9x9 .*image, upright, 128x64'):
        probe(parts=tmp_path)
    content = (path.with_name('0.png')).read_bytes()
    side = struct.pack('>II', 20_000, 20_000)
    bomb = content[:8] + struct.pack('>I', 13) + b'IHDR' + side + bytes([8, 0, 0, 0, 0])
    for damaged in (
        content[:-30],
        content[:33] + struct.pack('>I', 9) + content[37:],  # length of the pixels
        bomb + struct.pack('>I', zlib.crc32(bomb[12:])) + content[33:],
        b'no image',
    ):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match='1.png: is not an image, or damaged'):
            probe(parts=tmp_path)
    mask = np.uint8([0, 255]).repeat(64)[:, None].repeat(64, 1)  # of people
    for name in ('0.png', '1.png'):
        Image.fromarray(mask).save(path.with_name(name))
    with pytest.raises(ValueError, match='labels: has fewer than two labels besides'):
        probe(parts=tmp_path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match='1 of 2 files .*1.png; add the label'):
        probe(parts=tmp_path)
