"""Keypoint files of person images."""

import json

import numpy as np
import pytest
from PIL import Image

from saip_mm.data import PersonImages
from saip_mm.data.quarantine import Quarantine

POINTS = np.stack([np.arange(17) * 2, np.arange(17) * 4, np.full(17, 2)], axis=1)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'a').mkdir()
    for i in range(4):
        image = np.full((80, 40, 3), 50 * i, np.uint8)
        Image.fromarray(image).save(tmp_path / f'a/{i}.png')
    return tmp_path


def content() -> dict:
    """Two people in the first image, one in two more, none in the last."""
    size = dict(height=80, width=40)
    images = [dict(id=i, file_name=f'./a/{i}.png', **size) for i in range(4)]
    people = [(0, 30, 0), (0, 40, 1), (1, 40, 2), (2, 40, 3)]
    annotations = [
        dict(
            id=i,
            image_id=image,
            bbox=[0, 0, side, side],
            keypoints=(POINTS + (shift, 0, 0)).ravel().tolist(),
        )
        for i, (image, side, shift) in enumerate(people)
    ]
    return dict(images=images, annotations=annotations)


def people(folder, content, **options) -> PersonImages:
    (folder / 'points.json').write_text(json.dumps(content))
    return PersonImages(str(folder), keypoints='points.json', **options)


def test_each_image_gets_its_largest_person(folder, logged):
    lines = logged('data.keypoints')
    data = people(folder, content())
    for index, shift in enumerate((1, 2, 3)):
        image, found = data.load_posed(data.get_data_info(index))
        assert image[0, 0, 0] == 50 * index
        np.testing.assert_array_equal(found, POINTS + (shift, 0, 0))
    assert data.load_posed(data.get_data_info(3))[1] is None
    assert 'keypoints for 3 of 4 images' in lines[0]


def test_boxes_get_their_own_keypoints(folder):
    changed = content()
    for each in changed['annotations']:
        each['bbox'] = [10, 20, *each['bbox'][2:]]
    (folder / 'points.json').write_text(json.dumps(changed))
    data = people(
        folder, changed, ann_file='points.json', min_size=(8, 8), margin=0.125
    )
    assert len(data) == 4
    _, found = data.load_posed(data.get_data_info(0))
    np.testing.assert_array_equal(found, np.float32(POINTS - (6, 16, 0)), strict=True)


def test_replaced_images_come_with_their_keypoints(folder):
    (folder / 'a/0.png').write_bytes(b'')
    data = people(folder, content())
    data.quarantine = Quarantine(folder / 'bad.jsonl', 4, 0.5)
    for epoch in range(20):
        sample = data[0, epoch, 0]
        number = sample['image'][0, 0, 0] // 50
        shift = {1: 2, 2: 3, 3: None}[number]
        expected = None if shift is None else POINTS + (shift, 0, 0)
        np.testing.assert_array_equal(sample['keypoints'], expected)


def annotation(**changes):
    return lambda content: content['annotations'][0].update(changes)


def rescale(content, factor):
    for each in content['annotations']:
        scaled = np.reshape(each['keypoints'], (17, 3)) * (factor, factor, 1)
        each['keypoints'] = scaled.ravel().tolist()


def double_sizes(content):
    for each in content['images']:
        each.update(height=160, width=80)


def test_a_missing_file_is_refused(folder):
    with pytest.raises(FileNotFoundError, match='absent.json: .*make_keypoints.py'):
        PersonImages(str(folder), keypoints='absent.json')


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda c: c['images'].pop(), r'does not list 1 of 4 images, such as a/3\.png'),
        (lambda c: c.update(images=[], annotations=[]), 'contains no people'),
        (
            lambda c: [a.update(keypoints=[1, 1, 2] * 16) for a in c['annotations']],
            "people have 16 keypoints, but should have COCO's 17",
        ),
        (annotation(keypoints=[1, 1, 2] * 16), 'have 16 and 17 keypoints'),
        (annotation(keypoints=[float('nan')] * 51), '"keypoints" are not finite'),
        (lambda c: rescale(c, 1 / 100), r'4 of 4 people .* \./a/0\.png has 80x40'),
        (double_sizes, 'has 80x40 pixels .* but its annotations are for 160x80'),
    ],
)
def test_a_wrong_file_is_refused_before_training(folder, change, message):
    changed = content()
    change(changed)
    with pytest.raises((OSError, ValueError), match=message):
        people(folder, changed)
