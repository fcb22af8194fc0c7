"""What detectors of crowds need of images without a crowd."""

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PadBoxes(BaseTransform):
    """Gives every image as many boxes as CrowdDet's predictions per proposal.

    MMDetection's ``MultiInstanceAssigner`` takes the best boxes of each proposal, and
    mixes up proposals where an image has fewer. The boxes added are to be ignored, and
    with one pixel in the corner they overlap nothing by much: no target changes.

    Args:
        num: The least number of boxes, ignored ones included; ``num_instance`` of the
            assigner.
    """

    def __init__(self, num: int = 2) -> None:
        self.num = num

    def transform(self, results: dict) -> dict:
        """Add to ``gt_bboxes`` [n, 4], ``gt_bboxes_labels`` and ``gt_ignore_flags``."""
        boxes = results['gt_bboxes']
        missing = self.num - len(boxes)
        if missing > 0:
            pixels = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(missing, 1)
            results['gt_bboxes'] = boxes.cat([boxes, type(boxes)(pixels)])
            for name, value in (('gt_bboxes_labels', -1), ('gt_ignore_flags', True)):
                old = results[name]
                results[name] = np.append(old, np.full(missing, value, old.dtype))
        return results
