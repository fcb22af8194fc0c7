"""What training shows the networks of real photographs, flipped, is their mirror image.

Mirror images and their annotations are made by tests/fine_tune_real.py, which knows
nothing of the libraries. It also learns the photographs by heart, which takes longer
than a test may: see docs/verification.md.
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

# Everything random but the flip.
RANDOM = ('RandomResize', 'RandomCrop', 'PhotoMetricDistortion')
JOINTS = dict(arm=('elbow', 'wrist'), leg=('hip', 'knee'), shoe=('ankle',))


@pytest.fixture(scope='module')
def place(test_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp('real')
    prepare(test_data / 'real/coco', folder)
    return folder


def pairs(config, place, monkeypatch, dataset=None):
    """Training samples: a photograph that was flipped, and its mirror image."""
    flipped_or_not = []
    for photographs, prob in dict(photographs=1.0, mirrored=0.0).items():
        monkeypatch.setenv('REAL_PEOPLE', str(place))
        monkeypatch.setenv('PHOTOGRAPHS', photographs)
        cfg = load_config(str(ROOT / config), {})
        built = cfg.train_dataloader.dataset
        built.update(dataset(photographs) if dataset else {})
        built.pipeline = [step for step in built.pipeline if step.type not in RANDOM]
        (flip,) = (step for step in built.pipeline if step.type == 'RandomFlip')
        flip.prob = prob
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            flipped_or_not.append(list(DATASETS.build(built)))
    return list(zip(*flipped_or_not, strict=True))


def assert_same_picture(one, other):
    difference = one['inputs'].float() - other['inputs'].float()
    assert difference.abs().mean() < 2  # of 255


def test_boxes(place, monkeypatch):
    pytest.importorskip('mmdet.datasets')
    found = pairs('tests/configs/real_detection.py', place, monkeypatch)
    assert len(found) == 4
    for flipped, mirrored in found:
        assert_same_picture(flipped, mirrored)
        boxes = [s['data_samples'].gt_instances.bboxes for s in (flipped, mirrored)]
        np.testing.assert_allclose(*(b.tensor.numpy() for b in boxes), atol=1e-3)


def test_keypoints(place, monkeypatch):
    pytest.importorskip('mmpose.datasets')
    # MMPose mirrors a box's center as it does pixels: one further left than its sides.
    content = json.loads((place / 'mirrored.json').read_text())
    for person in content['annotations']:
        person['bbox'][0] -= 1
    (place / 'mirrored_centers.json').write_text(json.dumps(content))
    names = dict(photographs='photographs.json', mirrored='mirrored_centers.json')
    found = pairs(
        'tests/configs/real_pose.py',
        place,
        monkeypatch,
        lambda photographs: dict(ann_file=names[photographs]),
    )
    assert len(found) == 12
    for flipped, mirrored in found:
        assert_same_picture(flipped, mirrored)
        one, other = (s['data_samples'] for s in (flipped, mirrored))
        weights = [s.gt_instance_labels.keypoint_weights for s in (one, other)]
        assert torch.equal(*weights)
        heatmaps = [
            s.gt_fields.heatmaps * w[0, :, None, None]
            for s, w in zip((one, other), weights, strict=True)
        ]
        torch.testing.assert_close(*heatmaps, atol=1e-3, rtol=0)


def draw_joints(people, names, classes, size):
    """Labels uint8 [h, w]: discs of a limb's label at its joints, 255 where they meet.

    Args:
        people: COCO annotations.
        names: Of their keypoints, as 'left_elbow'.
        classes: Names of the labels, as 'Left-arm'.
        size: (width, height).
    """
    rows, columns = np.mgrid[: size[1], : size[0]]
    labels = np.zeros(rows.shape, np.uint8)
    for label, name in enumerate(classes):
        side, _, limb = name.lower().partition('-')
        wanted = [f'{side}_{joint}' for joint in JOINTS.get(limb, ())]
        for person in people:
            found = np.reshape(person['keypoints'], (17, 3))
            for x, y, seen in found[[names.index(joint) for joint in wanted]]:
                disc = (columns - x) ** 2 + (rows - y) ** 2 < (7 if seen else 0) ** 2
                labels[disc] = np.where(labels[disc], 255, label)
    return labels


def test_left_and_right_of_parsing(place, monkeypatch):
    """Limbs keep their side: that of keypoints, by the names of LIP's labels."""
    lip = pytest.importorskip('mmseg.datasets').LIPDataset
    for photographs in ('photographs', 'mirrored'):
        content = json.loads((place / f'{photographs}.json').read_text())
        names = content['categories'][0]['keypoints']
        (place / f'{photographs}_limbs').mkdir()
        for image in content['images']:
            people = [
                person
                for person in content['annotations']
                if person['image_id'] == image['id']
            ]
            size = image['width'], image['height']
            labels = draw_joints(people, names, lip.METAINFO['classes'], size)
            name = image['file_name'].replace('.jpg', '.png')
            Image.fromarray(labels).save(place / f'{photographs}_limbs' / name)

    def dataset(photographs):
        folders = dict(img_path=photographs, seg_map_path=f'{photographs}_limbs')
        return dict(data_root=str(place), data_prefix=folders)

    config = 'configs/downstream/parsing/lip_saip-vit-tiny_576x384.py'
    found = pairs(config, place, monkeypatch, dataset)
    assert len(found) == 4
    for flipped, mirrored in found:
        assert_same_picture(flipped, mirrored)
        one, other = (s['data_samples'].gt_sem_seg.data for s in (flipped, mirrored))
        assert (one != other).float().mean() < 1e-4
        assert len(one.unique()) > 6
