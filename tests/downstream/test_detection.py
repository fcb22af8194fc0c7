"""CrowdDet with few boxes per image."""

import numpy as np
import pytest
import torch

pytest.importorskip('mmdet')

from mmdet.models.task_modules import MultiInstanceAssigner  # noqa: E402
from mmdet.structures.bbox import HorizontalBoxes  # noqa: E402
from mmengine.structures import InstanceData  # noqa: E402

from saip_mm.downstream.detection import PadBoxes  # noqa: E402


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
