"""Pose and detection data sets, read and scored by MMPose and MMDetection."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
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
                np.testing.assert_allclose([x, y, x + w, y + h], truth, atol=1)
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


STOCK = {
    ('mmpose', 'coco'): 'body_2d_keypoint/topdown_heatmap/coco/'
    'td-hm_hrnet-w32_8xb64-210e_coco-256x192.py',
    ('mmpose', 'coco-wholebody'): 'wholebody_2d_keypoint/topdown_heatmap/'
    'coco-wholebody/td-hm_hrnet-w32_8xb64-210e_coco-wholebody-256x192.py',
    ('mmdet', 'coco'): 'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    ('mmdet', 'crowdhuman'): 'crowddet/crowddet-rcnn_r50_fpn_8xb2-30e_crowdhuman.py',
}


@pytest.mark.parametrize(('library', 'name'), STOCK)
def test_stock_configs_read_and_score_it(library, name, tmp_path):
    """Perfect predictions have perfect scores."""
    if library == 'mmdet':
        pytest.importorskip('mmcv._ext', reason='mmcv has no compiled ops')
    mm, utils = (
        pytest.importorskip(f'{library}.{module}', reason=f'no {library}')
        for module in ('registry', 'utils')
    )
    folder, stock = write(name, tmp_path / 'data'), tmp_path / 'stock.py'
    stock.write_text(f'_base_ = "{library}::{STOCK[library, name]}"')
    cfg = Config.fromfile(stock)
    with DefaultScope.overwrite_default_scope(library):
        utils.register_all_modules(init_default_scope=False)
        for settings in (cfg.train_dataloader.dataset, cfg.val_dataloader.dataset):
            old, settings.data_root = settings.data_root, f'{folder}/'
            if settings.get('bbox_file'):
                settings.bbox_file = settings.bbox_file.replace(old, settings.data_root)
            dataset = quietly(mm.DATASETS.build, settings)
            assert len(dataset) >= NUM // 4
            assert dataset[0]['inputs'].shape[0] == 3
        if library == 'mmpose':
            settings.bbox_file = ''
            dataset = quietly(mm.DATASETS.build, settings)
        elif name == 'coco':
            assert len(dataset.cat_ids) == len(dataset.metainfo['classes']) == 80
        evaluator = cfg.val_evaluator
        evaluator.ann_file = f'{folder}/{settings.ann_file}'
        metric = quietly(mm.METRICS.build, evaluator)
        metric.dataset_meta = dataset.metainfo
        perfect = pose_samples if library == 'mmpose' else detection_samples
        metric.process({}, list(perfect(dataset)))
        scores = quietly(metric.evaluate, len(dataset))
    if name == 'crowdhuman':
        people = sum(len(i['pred_instances']['scores']) for i in perfect(dataset))
        # The metric's area under the curve begins at the first match.
        assert scores['crowd_human/mAP'] == pytest.approx(1 - 1 / people, abs=1e-4)
        assert scores['crowd_human/mMR'] == pytest.approx(0, abs=1e-4)
    else:
        found = [v for k, v in scores.items() if k.endswith(('/AP', '/bbox_mAP'))]
        assert found == [1.0]


def pose_samples(dataset):
    """Perfect predictions for all entries of a data set of MMPose."""
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        keypoints = np.array(info['keypoints'], np.float32)
        # Unlabeled points lie somewhere else for everybody: with all of them at (0, 0),
        # MMPose's suppression would take two people for one.
        keypoints[info['keypoints_visible'] == 0] = info['bbox'][0, :2]
        ones = np.ones(keypoints.shape[:2], np.float32)
        yield dict(
            id=info['id'],
            img_id=info['img_id'],
            category_id=1,
            pred_instances=dict(keypoints=keypoints, keypoint_scores=ones),
            gt_instances=dict(bbox_scores=np.ones(1)),
        )


def detection_samples(dataset):
    """Perfect predictions for all entries of a data set of MMDetection."""
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        kept = [e for e in info['instances'] if not e['ignore_flag']]
        yield dict(
            img_id=info['img_id'],
            ori_shape=(info['height'], info['width']),
            pred_instances=dict(
                bboxes=torch.tensor([entry['bbox'] for entry in kept]),
                scores=torch.ones(len(kept)),
                labels=torch.tensor([entry['bbox_label'] for entry in kept]),
            ),
        )
