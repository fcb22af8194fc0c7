"""Pose and detection data sets, read and scored by MMPose and MMDetection."""

import json
from collections import Counter, defaultdict

import numpy as np
import pytest
import torch
from mmengine.config import Config
from written_formats import NUM, TRAIN, VAL, is_nearly, quietly, write

from saip_mm.drawn import WRITERS, draw_person, draw_scene


def test_coco_says_what_was_drawn(root):
    pycocotools = pytest.importorskip('pycocotools.coco', reason='no pycocotools')
    folder = root('coco')
    for split, seed in (('train', TRAIN), ('val', VAL)):
        path = folder / f'annotations/person_keypoints_{split}2017.json'
        coco = quietly(pycocotools.COCO, path)
        assert len(coco.imgs) == (NUM if split == 'train' else NUM // 4)
        for index, image in enumerate(coco.dataset['images']):
            scene = draw_scene(seed, index, (256, 320), 6, 1, labeled=True)
            file = folder / f'{split}2017' / image['file_name']
            assert is_nearly(file, scene.image)
            annotations = coco.loadAnns(coco.getAnnIds(image['id']))
            seen = [i for i in range(len(scene.people)) if i + 1 in scene.instances]
            assert len(annotations) == len(seen)
            for annotation, i in zip(annotations, seen, strict=True):
                person, mask = scene.people[i], scene.instances == i + 1
                keypoints = np.reshape(annotation['keypoints'], (17, 3))
                np.testing.assert_allclose(keypoints, person.keypoints, atol=0.006)
                x, y, w, h = annotation['bbox']
                assert [x, y, x + w, y + h] == person.visible_box.tolist()
                polygons = coco.annToMask(annotation).astype(bool)
                assert mask[~polygons].sum() == 0
                assert annotation['area'] == polygons.sum() < 1.1 * mask.sum() + 9
                drawn = set(annotation) - {'id', 'image_id'}
                assert annotation['num_keypoints'] == (keypoints[:, 2] > 0).sum()
                assert drawn >= {'category_id', 'iscrowd', 'segmentation'}


def test_splits_share_no_numbers(root):
    ids = defaultdict(list)
    for split in ('train', 'val'):
        path = root('coco') / f'annotations/instances_{split}2017.json'
        content = json.loads(path.read_text())
        for key in ('images', 'annotations'):
            ids[key] += [entry['id'] for entry in content[key]]
    for numbers in ids.values():
        assert len(numbers) == len(set(numbers))


def pose_samples(dataset):
    """Perfect predictions for all entries of a data set of MMPose."""
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        keypoints = np.array(info['keypoints'], np.float32)
        # What has no label lies somewhere else for everybody: with all of it at (0, 0),
        # MMPose's suppression would take two people for one.
        keypoints[info['keypoints_visible'] == 0] = info['bbox'][0, :2]
        yield dict(
            id=info['id'],
            img_id=info['img_id'],
            category_id=1,
            pred_instances=dict(
                keypoints=keypoints,
                keypoint_scores=np.ones(keypoints.shape[:2], np.float32),
            ),
            gt_instances=dict(bbox_scores=np.ones(1)),
        )


STOCK_POSE = {
    'coco': 'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
    'td-hm_hrnet-w32_8xb64-210e_coco-256x192.py',
    'coco-wholebody': 'mmpose::wholebody_2d_keypoint/topdown_heatmap/coco-wholebody/'
    'td-hm_hrnet-w32_8xb64-210e_coco-wholebody-256x192.py',
}


@pytest.mark.parametrize('name', STOCK_POSE)
def test_mmpose_reads_and_scores_its_stock_data(name, root, scope, tmp_path):
    pytest.importorskip('mmpose', reason='MMPose is not installed')
    from mmpose.registry import DATASETS, METRICS
    from mmpose.utils import register_all_modules

    stock = tmp_path / 'stock.py'
    stock.write_text(f'_base_ = {STOCK_POSE[name]!r}')
    cfg = Config.fromfile(stock)
    with scope('mmpose'):
        register_all_modules(init_default_scope=False)
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            old = loader.dataset.data_root
            loader.dataset.data_root = str(root(name))
            if loader.dataset.get('bbox_file'):
                file = loader.dataset.bbox_file
                loader.dataset.bbox_file = file.replace(old, f'{root(name)}/')
            dataset = quietly(DATASETS.build, loader.dataset)
            assert len(dataset) >= NUM // 4
            assert dataset[0]['inputs'].shape == (3, 256, 192)
        loader.dataset.bbox_file = ''
        dataset = quietly(DATASETS.build, loader.dataset)
        ann_file = f'{root(name)}/{loader.dataset.ann_file}'
        metric = METRICS.build(dict(type=cfg.val_evaluator.type, ann_file=ann_file))
        metric.dataset_meta = dataset.metainfo
        metric.process({}, list(pose_samples(dataset)))
        scores = quietly(metric.evaluate, len(dataset))
    assert [v for k, v in scores.items() if k.endswith('/AP')] == [1.0]


def test_whole_body_follows_from_the_figure(root):
    path = root('coco-wholebody') / 'annotations/coco_wholebody_train_v1.0.json'
    annotations = iter(json.loads(path.read_text())['annotations'])
    parts = dict(foot=(17, 6), face=(23, 68), lefthand=(91, 21), righthand=(112, 21))
    found = Counter()
    for index in range(NUM):
        scene = draw_scene(TRAIN, index, (384, 480), 6, 1, labeled=True)
        for i, person in enumerate(scene.people):
            if i + 1 not in scene.instances:
                continue
            annotation = next(annotations)
            whole = person.whole_body
            np.testing.assert_array_equal(whole[:17], person.keypoints)
            for part, (first, count) in parts.items():
                keypoints = np.reshape(annotation[f'{part}_kpts'], (count, 3))
                box = annotation.get(f'{part}_box', [0, 0, 0, 0])
                valid = annotation[f'{part}_valid']
                found[part, valid] += 1
                if not valid:
                    assert not keypoints.any() and not any(box)
                    continue
                truth = whole[first : first + count]
                np.testing.assert_allclose(keypoints, truth, atol=0.006)
                seen = keypoints[keypoints[:, 2] == 2]
                assert len(seen) >= 0.3 * count
                owners = scene.instances[tuple(seen[:, 1::-1].astype(int).T)]
                assert (owners == i + 1).all()
    assert next(annotations, None) is None
    assert all(found[part, True] >= 3 for part in parts)
    assert all(found[part, False] for part in ('face', 'lefthand', 'righthand'))


def test_details_lie_at_their_joints():
    """Heels are below ankles, hands begin at wrists, noses agree."""
    for number in range(20):
        person = draw_person(4, number, 0, labeled=True).people[0]
        body, whole = person.keypoints, person.whole_body
        h = np.ptp(person.full_box[1::2])
        for first, second in ((15, 19), (16, 22), (9, 91), (10, 112), (0, 53)):
            if body[first, 2] and whole[second, 2]:
                assert np.linalg.norm((body[first] - whole[second])[:2]) < 0.05 * h
        face = whole[23:91]
        if (face[:, 2] > 0).all():
            left, top, right, bottom = person.head_box
            assert (face[:, 0] > left - 2).all() and (face[:, 0] < right + 2).all()
            assert (face[:, 1] > top - 2).all() and (
                face[:, 1] < bottom + 0.03 * h
            ).all()


@pytest.mark.parametrize('classes', [('person',), None])
def test_mmdet_reads_and_scores_coco(classes, root, scope):
    pytest.importorskip('mmdet', reason='MMDetection is not installed')
    pytest.importorskip('mmcv._ext', reason='mmcv has no compiled ops')
    from mmdet.datasets import CocoDataset
    from mmdet.evaluation import CocoMetric

    ann_file = 'annotations/instances_val2017.json'
    with scope('mmdet'):
        dataset = quietly(
            lambda: CocoDataset(
                data_root=str(root('coco')),
                ann_file=ann_file,
                data_prefix=dict(img='val2017/'),
                metainfo=dict(classes=classes) if classes else None,
                pipeline=[],
            )
        )
        metric = CocoMetric(ann_file=str(root('coco') / ann_file), metric='bbox')
        metric.dataset_meta = dataset.metainfo
        assert len(dataset.metainfo['classes']) == (1 if classes else 80)
        assert len(dataset.cat_ids) == len(dataset.metainfo['classes'])
        metric.process({}, list(map(detected, dataset)))
        scores = quietly(metric.evaluate, len(dataset))
    assert scores['coco/bbox_mAP'] == 1.0


def detected(info):
    """A perfect prediction for an entry of a data set of MMDetection."""
    kept = [e for e in info['instances'] if not e['ignore_flag']]
    return dict(
        img_id=info['img_id'],
        ori_shape=(info['height'], info['width']),
        pred_instances=dict(
            bboxes=torch.tensor([entry['bbox'] for entry in kept]),
            scores=torch.ones(len(kept)),
            labels=torch.tensor([entry['bbox_label'] for entry in kept]),
        ),
    )


def test_crowdhuman_says_what_was_drawn(root):
    lines = (root('crowdhuman') / 'annotation_train.odgt').read_text().splitlines()
    assert len(lines) == NUM
    heads = Counter()
    for index, record in enumerate(map(json.loads, lines)):
        scene = draw_scene(TRAIN, index, (320, 480), 16, 2, labeled=True)
        file = root('crowdhuman') / 'Images' / f'{record["ID"]}.jpg'
        assert is_nearly(file, scene.image)
        boxes = [box for box in record['gtboxes'] if box['tag'] == 'person']
        assert len(record['gtboxes']) >= 2
        seen = [p for p in scene.people if p.visible_box.any()]
        for box, person in zip(boxes, seen, strict=True):
            for key in ('full', 'visible', 'head'):
                x, y, w, h = box[key[0] + 'box']
                truth = getattr(person, f'{key}_box')
                np.testing.assert_allclose([x, y, x + w, y + h], truth, atol=1)
            heads[box['head_attr']['ignore']] += 1
            if (person.keypoints[:3, 2] == 2).all():
                assert not box['head_attr']['ignore']
    assert heads[0] > heads[1] > 0


def test_crowdhuman_is_padded(tmp_path, monkeypatch):
    """Where only one is seen, there still are two boxes."""
    monkeypatch.setattr(WRITERS['crowdhuman'], 'crowd', (1, 1))
    folder = write('crowdhuman', tmp_path / 'data', 4, 0, (48, 64))
    for line in (folder / 'annotation_train.odgt').read_text().splitlines():
        person, padding = json.loads(line)['gtboxes']
        assert person['tag'] == 'person' and padding['tag'] == 'mask'
        assert padding['extra']['ignore'] == padding['head_attr']['ignore'] == 1


def test_mmdet_reads_and_scores_crowdhuman(root, scope):
    pytest.importorskip('mmdet', reason='MMDetection is not installed')
    pytest.importorskip('mmcv._ext', reason='mmcv has no compiled ops')
    from mmdet.datasets import CrowdHumanDataset
    from mmdet.evaluation import CrowdHumanMetric

    folder = str(root('crowdhuman'))
    with scope('mmdet'):
        dataset = quietly(
            lambda: CrowdHumanDataset(
                folder,
                'annotation_val.odgt',
                data_prefix=dict(img='Images/'),
                pipeline=[],
            )
        )
        metric = CrowdHumanMetric(f'{folder}/annotation_val.odgt', ['AP', 'MR'])
        metric.process({}, list(map(detected, dataset)))
        scores = quietly(metric.evaluate, len(dataset))
    people = sum(len(i['pred_instances']['scores']) for i in map(detected, dataset))
    # The metric's area under the curve begins at the first match.
    assert scores['crowd_human/mAP'] == pytest.approx(1 - 1 / people, abs=1e-4)
    assert scores['crowd_human/mMR'] == pytest.approx(0, abs=1e-4)


STOCK_DETECTION = {
    'coco': 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    'crowdhuman': 'mmdet::crowddet/crowddet-rcnn_r50_fpn_8xb2-30e_crowdhuman.py',
}


@pytest.mark.parametrize('name', STOCK_DETECTION)
def test_stock_detection_configs_read_it(name, root, scope, tmp_path):
    pytest.importorskip('mmdet', reason='MMDetection is not installed')
    pytest.importorskip('mmcv._ext', reason='mmcv has no compiled ops')
    from mmdet.registry import DATASETS
    from mmdet.utils import register_all_modules

    stock = tmp_path / 'stock.py'
    stock.write_text(f'_base_ = {STOCK_DETECTION[name]!r}')
    cfg = Config.fromfile(stock)
    with scope('mmdet'):
        register_all_modules(init_default_scope=False)
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            loader.dataset.data_root = f'{root(name)}/'
            dataset = quietly(DATASETS.build, loader.dataset)
            assert len(dataset) >= NUM // 4
            sample = dataset[0]['data_samples']
            assert len(sample.gt_instances) + len(sample.ignored_instances) > 0
