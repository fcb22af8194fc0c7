"""Box padding for CrowdDet."""

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PadBoxes(BaseTransform):
    """Pad the boxes of each image to the number of CrowdDet's predictions per proposal.

    MMDetection's ``MultiInstanceAssigner`` mixes up proposals of images with fewer
    boxes. The added boxes are ignored and cover one pixel, so no target changes.

    Args:
        num: Minimum number of boxes including ignored ones; ``num_instance`` of the
            assigner.
    """

    def __init__(self, num: int = 2) -> None:
        self.num = num

    def transform(self, results: dict) -> dict:
        """Extend ``gt_bboxes`` [n, 4], ``gt_bboxes_labels`` and ``gt_ignore_flags``."""
        boxes = results['gt_bboxes']
        missing = self.num - len(boxes)
        if missing > 0:
            pixels = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(missing, 1)
            results['gt_bboxes'] = boxes.cat([boxes, type(boxes)(pixels)])
            for name, value in (('gt_bboxes_labels', -1), ('gt_ignore_flags', True)):
                old = results[name]
                results[name] = np.append(old, np.full(missing, value, old.dtype))
        return results
