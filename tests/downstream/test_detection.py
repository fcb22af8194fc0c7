"""CrowdDet with few boxes per image; annotated sizes of rotated photographs."""

import json

import cv2
import numpy as np
import pytest
import torch
from image_files import oriented
from launch import ROOT
from PIL import Image

pytest.importorskip('mmdet')

from mmdet.models.task_modules import MultiInstanceAssigner  # noqa: E402
from mmdet.registry import DATASETS  # noqa: E402
from mmdet.structures.bbox import HorizontalBoxes  # noqa: E402
from mmengine.registry import DefaultScope  # noqa: E402
from mmengine.structures import InstanceData  # noqa: E402

from saip_mm.data.images import ImageError  # noqa: E402
from saip_mm.downstream.detection import PadBoxes  # noqa: E402
from saip_mm.training.config import load_config  # noqa: E402


def padded(*boxes) -> dict:
    n = len(boxes)
    results = dict(
        gt_bboxes=HorizontalBoxes(torch.tensor(boxes, dtype=torch.float).view(n, 4)),
        gt_bboxes_labels=np.zeros(n, np.int64),
        gt_ignore_flags=np.zeros(n, bool),
    )
    return PadBoxes(2).transform(results)


def area(x1, y1, x2, y2) -> float:
    return max(0, x2 - x1) * max(0, y2 - y1)


def iou(a, b) -> float:
    both = area(max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))
    return both / (area(*a) + area(*b) - both)


@pytest.mark.parametrize('boxes', [[], [(20, 10, 50, 90)]])
def test_proposals_are_positive_where_they_overlap_the_only_box(boxes):
    results = padded(*boxes)
    ignored = torch.tensor(results['gt_ignore_flags'])
    assert ignored.tolist() == [False] * len(boxes) + [True] * (2 - len(boxes))
    tensor = results['gt_bboxes'].tensor
    labels = torch.tensor(results['gt_bboxes_labels'])
    corner = torch.rand(50, 2, generator=torch.manual_seed(0)) * 30
    size = torch.rand(50, 2) * torch.tensor([40.0, 90.0]) + 5
    priors = torch.cat([corner, corner + size], 1)
    assigner = MultiInstanceAssigner(
        num_instance=2,
        pos_iou_thr=0.5,
        neg_iou_thr=0.5,
        min_pos_iou=0.3,
        iou_calculator=dict(type='mmdet.BboxOverlaps2D'),
    )
    found = assigner.assign(
        InstanceData(priors=priors),
        InstanceData(bboxes=tensor[~ignored], labels=labels[~ignored]),
        InstanceData(bboxes=tensor[ignored], labels=labels[ignored]),
    ).labels[:50]
    expected = [any(iou(p, box) >= 0.5 for box in boxes) for p in priors.tolist()]
    assert found[:, 0].tolist() == [int(each) for each in expected]
    assert any(expected) == bool(boxes)
    assert not found[:, 1].any()


@pytest.mark.parametrize('upright', [True, False])
def test_boxes_that_ignore_the_exif_orientation_are_refused(tmp_path, upright):
    """Boxes of an upright photograph are where OpenCV and so MMDetection see them."""
    sideways = np.zeros((100, 200, 3), np.uint8)
    sideways[20:60, 140:180] = 255
    exif = oriented(6)  # row 0 is the right side
    Image.fromarray(sideways).save(tmp_path / 'a.jpg', exif=exif, quality=100)
    box = [40, 140, 40, 40] if upright else [140, 20, 40, 40]
    height, width = (200, 100) if upright else (100, 200)
    image = dict(id=1, file_name='a.jpg', height=height, width=width)
    person = dict(id=1, image_id=1, category_id=1, bbox=box, area=1600, iscrowd=0)
    content = dict(images=[image], annotations=[person])
    content |= dict(categories=[dict(id=1, name='person')])
    (tmp_path / 'test.json').write_text(json.dumps(content))
    cfg = load_config(str(ROOT / 'configs/transfer/detection_saip-small.py'))
    dataset = cfg.test_dataloader.dataset
    dataset.update(data_root=str(tmp_path), pipeline=dataset.pipeline[:2])
    with DefaultScope.overwrite_default_scope('mmdet'):
        dataset = DATASETS.build(dataset)
    if not upright:
        with pytest.raises(
            ImageError, match=r'a.jpg: has 200x100 .* for 100x200.*EXIF'
        ):
            dataset[0]
        return
    results = dataset[0]
    seen = cv2.imread(str(tmp_path / 'a.jpg'))
    np.testing.assert_allclose(results['img'].astype(int), seen, atol=3)
    left, top, right, bottom = results['gt_bboxes'].tensor[0].int().tolist()
    assert seen[top:bottom, left:right].mean() > 250 > 10 > seen[:top].mean()
