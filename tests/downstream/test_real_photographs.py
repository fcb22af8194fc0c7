"""Pipelines flip real photographs as tests/fine_tune_real.py mirrors them.

The mirror images and their annotations are made without the libraries. The script also
fine-tunes on the photographs, which takes longer than a test: see docs/verification.md.
"""

import json

import numpy as np
import pytest
import torch
from fine_tune_real import prepare
from launch import ROOT
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image

from saip_mm.training.config import load_config

# Random transforms other than the flip.
RANDOM = ('RandomResize', 'RandomCrop', 'PhotoMetricDistortion')
JOINTS = dict(arm=('elbow', 'wrist'), leg=('hip', 'knee'), shoe=('ankle',))
MIRRORED = ('photographs', 'mirrored')


@pytest.fixture(scope='module')
def place(test_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp('real')
    prepare(test_data / 'real/coco', folder)
    return folder


def pairs(config, place, monkeypatch, dataset=None):
    """Training samples: flipped photographs and their mirror images."""
    samples = []
    for photographs, prob in zip(MIRRORED, (1.0, 0.0), strict=True):
        monkeypatch.setenv('REAL_PEOPLE', str(place))
        monkeypatch.setenv('PHOTOGRAPHS', photographs)
        cfg = load_config(str(ROOT / config), {})
        built = cfg.train_dataloader.dataset
        built.update(dataset(photographs) if dataset else {})
        built.pipeline = [step for step in built.pipeline if step.type not in RANDOM]
        (flip,) = (step for step in built.pipeline if step.type == 'RandomFlip')
        flip.prob = prob
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            samples.append(list(DATASETS.build(built)))
    for flipped, mirrored in zip(*samples, strict=True):
        difference = flipped['inputs'].float() - mirrored['inputs'].float()
        assert difference.abs().mean() < 2  # of 255
        yield flipped['data_samples'], mirrored['data_samples']


def test_boxes(place, monkeypatch):
    pytest.importorskip('mmdet.datasets')
    found = list(pairs('tests/configs/real_detection.py', place, monkeypatch))
    assert len(found) == 4
    for pair in found:
        boxes = [sample.gt_instances.bboxes.tensor.numpy() for sample in pair]
        np.testing.assert_allclose(*boxes, atol=1e-3)


def test_keypoints(place, monkeypatch):
    pytest.importorskip('mmpose.datasets')
    # MMPose mirrors the center of a box as a pixel, one further left than its sides.
    content = json.loads((place / 'mirrored.json').read_text())
    for person in content['annotations']:
        person['bbox'][0] -= 1
    (place / 'mirrored_centers.json').write_text(json.dumps(content))

    def dataset(photographs):
        return dict(
            ann_file=photographs.replace('mirrored', 'mirrored_centers') + '.json'
        )

    found = list(pairs('tests/configs/real_pose.py', place, monkeypatch, dataset))
    assert len(found) == 12
    for pair in found:
        weights = [sample.gt_instance_labels.keypoint_weights for sample in pair]
        assert torch.equal(*weights)
        heatmaps = [
            sample.gt_fields.heatmaps * weight[0, :, None, None]
            for sample, weight in zip(pair, weights, strict=True)
        ]
        torch.testing.assert_close(*heatmaps, atol=1e-3, rtol=0)


def draw_joints(people, names, classes, size):
    """Labels uint8 [h, w]: discs of a limb's label at its joints, 255 where they meet.

    Args:
        people: COCO annotations.
        names: Names of their keypoints, such as 'left_elbow'.
        classes: Names of the labels, such as 'Left-arm'.
        size: (width, height).
    """
    rows, columns = np.mgrid[: size[1], : size[0]]
    labels = np.zeros(rows.shape, np.uint8)
    for label, name in enumerate(classes):
        side, _, limb = name.lower().partition('-')
        joints = [names.index(f'{side}_{joint}') for joint in JOINTS.get(limb, ())]
        for person in people:
            for x, y, seen in np.reshape(person['keypoints'], (17, 3))[joints]:
                disc = (columns - x) ** 2 + (rows - y) ** 2 < (7 if seen else 0) ** 2
                labels[disc] = np.where(labels[disc], 255, label)
    return labels


def test_left_and_right_in_parsing(place, monkeypatch):
    """Limbs keep the side of their keypoints, by the names of LIP's labels."""
    lip = pytest.importorskip('mmseg.datasets').LIPDataset
    for photographs in MIRRORED:
        content = json.loads((place / f'{photographs}.json').read_text())
        names = content['categories'][0]['keypoints']
        (place / f'{photographs}_limbs').mkdir()
        for image in content['images']:
            people = [p for p in content['annotations'] if p['image_id'] == image['id']]
            size = image['width'], image['height']
            labels = draw_joints(people, names, lip.METAINFO['classes'], size)
            name = image['file_name'].replace('.jpg', '.png')
            Image.fromarray(labels).save(place / f'{photographs}_limbs' / name)

    def dataset(photographs):
        folders = dict(img_path=photographs, seg_map_path=f'{photographs}_limbs')
        return dict(data_root=str(place), data_prefix=folders)

    config = 'configs/downstream/parsing/lip_saip-vit-tiny_576x384.py'
    found = list(pairs(config, place, monkeypatch, dataset))
    assert len(found) == 4
    for pair in found:
        one, other = (sample.gt_sem_seg.data for sample in pair)
        assert (one != other).float().mean() < 1e-4
        assert len(one.unique()) > 6
