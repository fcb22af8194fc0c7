"""Annotation files of Fashionpedia: COCO's keys, and attributes."""

from collections.abc import Sequence

import numpy as np
from mmdet.datasets.api_wrappers import COCO

from ...files import read_json

LISTS = ('images', 'categories', 'attributes', 'annotations')


class PartAnnotations(COCO):
    """An annotation file with ``attributes`` and, per annotation, ``attribute_ids``.

    Categories and attributes are sorted by id. Ids may have gaps: ``labels`` and
    ``attribute_labels`` number them from 0.

    Args:
        path: JSON file.

    Raises:
        OSError: If it cannot be read.
        ValueError: If a list is missing, an id is not declared, or a mask does not fit
            its image; names the file and the annotation.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.dataset = read_json(path)
        for key in LISTS:
            if not isinstance(self.dataset, dict) or key not in self.dataset:
                raise ValueError(
                    f'{path}: has no "{key}"; use the instances_attributes_*2020.json '
                    'of Fashionpedia, or add them'
                )
        for key in ('categories', 'attributes'):
            self.dataset[key].sort(key=lambda each: each['id'])
        self.labels, self.attribute_labels = (
            {each['id']: i for i, each in enumerate(self.dataset[key])}
            for key in ('categories', 'attributes')
        )
        sizes = {
            image['id']: (image['height'], image['width'])
            for image in self.dataset['images']
        }
        for number, each in enumerate(self.dataset['annotations']):
            mask = each.get('segmentation')
            if isinstance(mask, list):  # MMDetection leaves such polygons out as well
                each['segmentation'] = [p for p in mask if _is_polygon(p)] or mask
            if problem := self._problem(each, sizes):
                raise ValueError(
                    f'{path}: annotation {each.get("id", f"at index {number}")}: '
                    f'{problem}; correct or remove it'
                )
        self.createIndex()
        self.img_ann_map, self.cat_img_map = self.imgToAnns, self.catToImgs

    def _problem(self, annotation: dict, sizes: dict) -> str | None:
        """What is wrong with an annotation; sizes: (h, w) of images by id."""
        keys = ('id', 'image_id', 'category_id', 'attribute_ids', 'segmentation')
        if missing := [key for key in (*keys, 'bbox', 'area') if key not in annotation]:
            return f'has no {", ".join(missing)}'
        if (size := sizes.get(annotation['image_id'])) is None:
            return f'there is no image {annotation["image_id"]}'
        if annotation['category_id'] not in self.labels:
            return f'"categories" do not contain {annotation["category_id"]}'
        ids = annotation['attribute_ids']
        if not isinstance(ids, list):
            return f'its "attribute_ids" are {ids!r}, not a list'
        if unknown := [each for each in ids if each not in self.attribute_labels]:
            return f'"attributes" do not contain {", ".join(map(str, unknown))}'
        return mask_problem(annotation['segmentation'], *size)

    def multi_hot(self, annotations: Sequence[dict]) -> np.ndarray:
        """Attributes of annotations as 0 and 1, uint8 [n, A]."""
        rows = np.zeros((len(annotations), len(self.attribute_labels)), np.uint8)
        for row, each in zip(rows, annotations, strict=True):
            row[[self.attribute_labels[i] for i in each['attribute_ids']]] = 1
        return rows


def mask_problem(mask: list | dict, height: int, width: int) -> str | None:
    """What is wrong with polygons or run lengths for an image of this size."""
    if isinstance(mask, dict):
        counts = mask.get('counts')
        if list(mask.get('size') or ()) != [height, width] or not counts:
            found = mask.get('size')
            return f'its mask has the size {found}, its image {[height, width]}'
        if isinstance(counts, list) and sum(counts) != height * width:
            return f'its run lengths do not add up to {height} x {width} pixels'
        return None
    if not isinstance(mask, list) or not mask or not all(map(_is_polygon, mask)):
        return '"segmentation" is neither run lengths nor polygons of 3 or more points'
    points = np.array([value for each in mask for value in each]).reshape(-1, 2)
    size = width, height
    if (points.max(0) <= 0).any() or (points.min(0) >= size).any():
        return f'its mask lies outside its image of {width} x {height} pixels'
    return None


def _is_polygon(points: object) -> bool:
    """Whether it lists the coordinates of 3 or more points."""
    return isinstance(points, list) and len(points) >= 6 and len(points) % 2 == 0


def knowledge_matrix(path: str) -> np.ndarray:
    """How often categories have attributes in an annotation file, float32 [C, A].

    Rows add up to 1, or to 0 for categories without attributes.
    """
    annotations = PartAnnotations(path)
    shape = len(annotations.labels), len(annotations.attribute_labels)
    counts = np.zeros(shape, np.float32)
    entries = annotations.dataset['annotations']
    categories = [annotations.labels[each['category_id']] for each in entries]
    np.add.at(counts, categories, annotations.multi_hot(entries))
    return counts / counts.sum(1, keepdims=True).clip(1)
