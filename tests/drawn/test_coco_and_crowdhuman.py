"""Pose and detection data sets, read and scored by MMPose and MMDetection."""

import json
from collections import Counter

import numpy as np
import pytest
from written_formats import NUM, TRAIN, VAL, is_nearly, quietly, root, write

from saip_mm.drawn import WRITERS, draw_scene


def test_coco_contains_what_was_drawn():
    pycocotools = pytest.importorskip('pycocotools.coco', reason='no pycocotools')
    numbers = dict(images=[], annotations=[])
    for split, seed in (('train', TRAIN), ('val', VAL)):
        path = root('coco') / f'annotations/person_keypoints_{split}2017.json'
        coco = quietly(pycocotools.COCO, path)
        for key, found in numbers.items():
            found += [entry['id'] for entry in coco.dataset[key]]
        assert len(coco.imgs) == (NUM if split == 'train' else NUM // 4)
        for index, image in enumerate(coco.dataset['images']):
            scene = draw_scene(seed, index, (256, 320), 6, 1, labeled=True)
            file = root('coco') / f'{split}2017' / image['file_name']
            assert is_nearly(file, scene.image)
            annotations = coco.loadAnns(coco.getAnnIds(image['id']))
            seen = [i for i in range(len(scene.people)) if i + 1 in scene.instances]
            for annotation, i in zip(annotations, seen, strict=True):
                person, mask = scene.people[i], scene.instances == i + 1
                keypoints = np.reshape(annotation['keypoints'], (17, 3))
                np.testing.assert_allclose(keypoints, person.keypoints, atol=0.006)
                assert annotation['num_keypoints'] == (keypoints[:, 2] > 0).sum()
                x, y, w, h = annotation['bbox']
                assert [x, y, x + w, y + h] == person.visible_box.tolist()
                polygons = coco.annToMask(annotation).astype(bool)
                assert mask[~polygons].sum() == 0
                assert annotation['area'] == polygons.sum() < 1.1 * mask.sum() + 9
                assert annotation['category_id'] == 1 and annotation['iscrowd'] == 0
    assert all(len(found) == len(set(found)) for found in numbers.values())


def test_whole_body_contains_what_was_drawn():
    path = root('coco-wholebody') / 'annotations/coco_wholebody_train_v1.0.json'
    annotations = iter(json.loads(path.read_text())['annotations'])
    parts = dict(foot=(17, 6), face=(23, 68), lefthand=(91, 21), righthand=(112, 21))
    found = Counter()
    for index in range(NUM):
        scene = draw_scene(TRAIN, index, (384, 480), 6, 1, labeled=True)
        seen = [i for i in range(len(scene.people)) if i + 1 in scene.instances]
        for i, annotation in zip(seen, annotations, strict=False):
            for part, (first, count) in parts.items():
                keypoints = np.reshape(annotation[f'{part}_kpts'], (count, 3))
                box = annotation.get(f'{part}_box', [0, 0, 0, 0])
                valid = annotation[f'{part}_valid']
                found[part, valid] += 1
                if not valid:
                    assert not keypoints.any() and not any(box)
                    continue
                truth = scene.people[i].whole_body[first : first + count]
                np.testing.assert_allclose(keypoints, truth, atol=0.006)
                seen = keypoints[keypoints[:, 2] == 2]
                assert len(seen) >= 0.3 * count
                owners = scene.instances[tuple(seen[:, 1::-1].astype(int).T)]
                assert (owners == i + 1).all()
    assert next(annotations, None) is None
    assert all(found[part, True] >= 3 for part in parts)
    assert all(found[part, False] for part in ('face', 'lefthand', 'righthand'))


def test_crowdhuman_contains_what_was_drawn():
    lines = (root('crowdhuman') / 'annotation_train.odgt').read_text().splitlines()
    heads = Counter()
    for index, record in enumerate(map(json.loads, lines)):
        scene = draw_scene(TRAIN, index, (320, 480), 16, 2, labeled=True)
        file = root('crowdhuman') / 'Images' / f'{record["ID"]}.jpg'
        assert is_nearly(file, scene.image)
        boxes = [box for box in record['gtboxes'] if box['tag'] == 'person']
        seen = [p for p in scene.people if p.visible_box.any()]
        for box, person in zip(boxes, seen, strict=True):
            for key in ('full', 'visible', 'head'):
                x, y, w, h = box[key[0] + 'box']
                truth = getattr(person, f'{key}_box')
                slack = 4 if key == 'full' else 1  # clothes are wider than the body
                np.testing.assert_allclose([x, y, x + w, y + h], truth, atol=slack)
            (x, y, w, h), (left, top, width, height) = box['fbox'], box['vbox']
            assert x <= left and y <= top
            assert left + width <= x + w and top + height <= y + h
            heads[box['head_attr']['ignore']] += 1
            if (person.keypoints[:3, 2] == 2).all():
                assert not box['head_attr']['ignore']
    assert len(lines) == NUM and heads[0] > heads[1] > 0


def test_crowdhuman_is_padded(tmp_path, monkeypatch):
    """If only one person is visible, there are two boxes nevertheless."""
    monkeypatch.setattr(WRITERS['crowdhuman'], 'crowd', (1, 1))
    folder = write('crowdhuman', tmp_path / 'data', 4, 0, (48, 64))
    for line in (folder / 'annotation_train.odgt').read_text().splitlines():
        person, padding = json.loads(line)['gtboxes']
        assert person['tag'] == 'person' and padding['tag'] == 'mask'
        assert padding['extra']['ignore'] == padding['head_attr']['ignore'] == 1
