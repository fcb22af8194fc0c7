"""Real folders: Market-1501's names, COCO's annotations."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from saip_mm.data.person_boxes import PersonBox
from saip_mm.evaluation import Subject, probe_coco, probe_market1501
from saip_mm.evaluation.features import BaselineFeatures, Embedded
from saip_mm.evaluation.folders import _square_up

COLORS = Subject(BaselineFeatures('mean-color', (64, 32)))


def save(path, color, size=(48, 24)):
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.new('RGB', size[::-1], color).save(path)


def test_market_names_say_who_is_who(tmp_path):
    red, green, blue = (200, 0, 0), (0, 200, 0), (0, 0, 200)
    save(tmp_path / 'query/0002_c1s1_000451_03.png', red)
    save(tmp_path / 'query/0007_c1s1_000001_00.png', blue)  # nowhere else
    gallery = tmp_path / 'bounding_box_test'
    save(gallery / '0002_c1s1_000452_01.png', red)  # the same camera: ignored
    save(gallery / '-1_c2s1_000001_01.png', red)  # junk: ignored
    save(gallery / '0000_c3s1_000001_01.png', red)  # a distractor: wrong
    save(gallery / '0002_c2s1_000001_01.png', (200, 20, 0))  # the second
    save(gallery / '0002_c3s1_000001_01.png', green)  # the last
    save(gallery / '0005_c2s1_000001_01.png', (200, 90, 0))  # the third
    scores = probe_market1501(COLORS, tmp_path)
    expected = {'market1501/mAP': (1 / 2 + 2 / 4) / 2, 'market1501/rank1': 0}
    assert scores == pytest.approx(expected)


def test_market_folders_that_cannot_be_used(tmp_path):
    (tmp_path / 'query').mkdir()
    with pytest.raises(FileNotFoundError, match='query: no images in it'):
        probe_market1501(COLORS, tmp_path)
    save(tmp_path / 'query/0002_c1s1_000451_03.png', (1, 2, 3))
    with pytest.raises(OSError, match='test: no such folder; .* has query and'):
        probe_market1501(COLORS, tmp_path)
    for name in ('me.png', 'you.png'):  # found before any image is read
        save(tmp_path / 'bounding_box_test' / name, (1, 2, 3))
    (tmp_path / 'query/0003_c1s1_000451_03.png').write_bytes(b'no image')
    with pytest.raises(ValueError, match=r'me.png: the name does not say.*and 1 more'):
        probe_market1501(COLORS, tmp_path)
    for path in (tmp_path / 'query').glob('0003*'):
        path.unlink()
    for path in (tmp_path / 'bounding_box_test').iterdir():
        path.unlink()
    save(tmp_path / 'bounding_box_test/0003_c2s1_000451_03.png', (1, 2, 3))
    with pytest.raises(ValueError, match='none of 1 queries'):
        probe_market1501(COLORS, tmp_path)


@pytest.mark.parametrize(
    'box', [(100, 50, 30, 90), (0, 0, 160, 40), (150, 100, 99, 99)]
)
def test_a_keypoint_stays_on_its_pixel(box):
    """A white dot of the photograph is where the moved keypoint is in the crop."""
    photograph = np.zeros((180, 220, 3), np.uint8)
    x, y = min(box[0] + box[2] // 2, 210), min(box[1] + box[3] // 3, 170)
    photograph[y - 2 : y + 3, x - 2 : x + 3] = 255
    person = PersonBox('a.jpg', box, (180, 220))
    crop, corner, scale = _square_up(photograph, person, (256, 128))
    assert crop.shape == (256, 128, 3)
    white = np.argwhere((crop > 180).all(axis=2)).mean(axis=0)[::-1]
    expected = (np.array([x + 0.5, y + 0.5]) - corner) * scale
    np.testing.assert_allclose(white + 0.5, expected, atol=1)


class Brightness:
    """Patches that say how bright they are, and all else of nothing."""

    size, has_patches = (64, 32), True

    def __call__(self, images, patches=False):
        maps = torch.nn.functional.avg_pool2d(images.float(), 8)
        return Embedded(maps.mean((2, 3)), maps)


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
    ann = photographs(tmp_path, 10)
    scores = probe_coco(Subject(Brightness()), tmp_path, ann)
    assert scores == {'coco/PCK': pytest.approx(1, abs=0.11)}


def test_too_few_people_and_missing_photographs(tmp_path):
    ann = photographs(tmp_path, 2)
    with pytest.raises(ValueError, match=r'ann\.json: .* give 2 and 2 people'):
        probe_coco(Subject(Brightness()), tmp_path, ann)
    (tmp_path / '1.png').unlink()
    with pytest.raises(
        FileNotFoundError, match=r'1 of 2 files .*: 1\.png; give the folder'
    ):
        probe_coco(Subject(Brightness()), tmp_path, ann)


@pytest.mark.parametrize('keypoints', [[1, 2], ['a', 1, 2], [float('nan'), 1, 2], 7])
def test_keypoints_that_are_none(tmp_path, keypoints):
    ann = photographs(tmp_path, 2)
    content = json.loads(ann.read_text())
    content['annotations'][1]['keypoints'] = keypoints
    ann.write_text(json.dumps(content))
    with pytest.raises(ValueError, match='annotation 1: "keypoints"'):
        probe_coco(Subject(Brightness()), tmp_path, ann)
