"""Fashionpedia, and the steps of its pipelines."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.datasets import CocoDataset
from mmdet.datasets.transforms import LoadAnnotations, PackDetInputs
from mmdet.registry import DATASETS, TRANSFORMS
from mmdet.structures.mask import BitmapMasks

from .annotations import PartAnnotations


@DATASETS.register_module()
class Fashionpedia(CocoDataset):
    """Fashionpedia (arXiv 2004.12276), or a data set with such annotations.

    Labels are the categories of the file, sorted by id, and ``human``, which
    :class:`AppendHuman` annotates. Instances have ``attributes``, uint8 [A], in the
    order of the attributes' ids. Arguments are those of MMDetection's ``CocoDataset``.

    Raises:
        ValueError: If the annotations are invalid; see :class:`PartAnnotations`.
    """

    METAINFO = dict(classes=())  # all of the file

    def COCOAPI(self, path: str) -> PartAnnotations:  # MMDetection's name
        """Read the annotations, and the names of classes and attributes."""
        annotations = PartAnnotations(path)
        classes, attributes = (
            tuple(each['name'] for each in annotations.dataset[key])
            for key in ('categories', 'attributes')
        )
        self._metainfo |= dict(classes=(*classes, 'human'), attributes=attributes)
        return annotations

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Parse the annotations of an image one by one: some are left out."""
        annotations, instances = raw_data_info['raw_ann_info'], []
        rows = self.coco.multi_hot(annotations)
        for annotation, attributes in zip(annotations, rows, strict=True):
            alone = raw_data_info | dict(raw_ann_info=[annotation])
            for each in super().parse_data_info(alone)['instances']:
                instances.append(each | dict(attributes=attributes))
        entry = super().parse_data_info(raw_data_info | dict(raw_ann_info=[]))
        return entry | dict(instances=instances)


@TRANSFORMS.register_module()
class LoadPartAnnotations(LoadAnnotations):
    """Load boxes, labels, masks, and ``gt_attributes``, uint8 [n, A]."""

    def __init__(self) -> None:
        super().__init__(with_bbox=True, with_mask=True)

    def transform(self, results: dict) -> dict:
        results = super().transform(results)
        rows = [each['attributes'] for each in results['instances']]
        results['gt_attributes'] = (
            np.stack(rows) if rows else np.zeros((0, 0), np.uint8)
        )
        return results


@TRANSFORMS.register_module()
class AppendHuman(BaseTransform):
    """Append an instance ``human`` without attributes around all others.

    Its box is the union of their boxes and a margin, its mask the union of their masks.
    Images without instances get none.

    Args:
        label: Label of humans, the last one.
        margin: Pixels of the original image added on each side, within the image.
    """

    def __init__(self, label: int = 46, margin: int = 10) -> None:
        self.label, self.margin = label, margin

    def transform(self, results: dict) -> dict:
        boxes, masks = results['gt_bboxes'], results['gt_masks']
        if not len(boxes):
            return results
        h, w = results['img_shape']
        low, high = boxes.tensor[:, :2].amin(0), boxes.tensor[:, 2:].amax(0)
        human = boxes.tensor.new_empty(1, 4)
        human[0, :2], human[0, 2:] = low - self.margin, high + self.margin
        human[:, 0::2].clamp_(0, w)
        human[:, 1::2].clamp_(0, h)
        results['gt_bboxes'] = boxes.cat([boxes, type(boxes)(human)])
        union = masks.masks.max(0, keepdims=True)
        results['gt_masks'] = BitmapMasks(np.concatenate([masks.masks, union]), h, w)
        for name, value in (('bboxes_labels', self.label), ('ignore_flags', False)):
            old = results[f'gt_{name}']
            results[f'gt_{name}'] = np.append(old, old.dtype.type(value))
        attributes = results['gt_attributes']
        results['gt_attributes'] = np.pad(attributes, ((0, 1), (0, 0)))
        return results


@TRANSFORMS.register_module()
class PackPartInputs(PackDetInputs):
    """MMDetection's ``PackDetInputs`` with ``gt_instances.attributes``."""

    mapping_table = PackDetInputs.mapping_table | dict(gt_attributes='attributes')
