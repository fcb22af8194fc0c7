"""Average precision of boxes or masks together with attributes.

The metric of Fashionpedia (arXiv 2004.12276), as in its authors' package
(https://github.com/KMnP/fashionpedia-api): COCO's, but a detection matches only if its
overlap and the F1 score of its attributes each reach a threshold.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from mmdet.registry import METRICS
from mmdet.structures.mask import encode_mask_results
from mmengine.evaluator import BaseMetric
from pycocotools import mask as mask_utils

from .annotations import PartAnnotations

# Ids of the categories whose attributes count, as in the authors' package.
WITH_ATTRIBUTES = (*range(13), 28, 29, 31, 32, 33)
# The last threshold lets everything pass.
THRESHOLDS = np.append(np.linspace(0.5, 0.95, 10), -1.0)
RECALLS = np.linspace(0, 1, 101)
MAX_DETECTIONS = 100  # of a category in an image


class Detections(NamedTuple):
    """n detections in an image."""

    labels: np.ndarray  # [n]
    scores: np.ndarray  # [n]
    attributes: np.ndarray  # bool [n, A]
    boxes: np.ndarray  # [n, 4], x, y, w, h
    masks: list[dict]  # n run lengths


NO_DETECTIONS = Detections(*np.zeros((4, 0)), [])


class Group(NamedTuple):
    """D detections and G annotations of a category in an image."""

    scores: np.ndarray  # [D], descending
    ious: np.ndarray  # [D, G]
    f1s: np.ndarray  # [D, G]
    crowd: np.ndarray  # bool [G], crowds last


@METRICS.register_module()
class PartAttributeMetric(BaseMetric):
    """AP_IoU_F1, AP_IoU and AP_F1 in [0, 1], -1 without annotations.

    They are means over categories, and over thresholds 0.5, 0.55, …, 0.95 of the scores
    that they are named after.

    Args:
        ann_file: Annotations; see :class:`PartAnnotations`.
        threshold: Attributes above this probability count as predicted.
        with_attributes: Ids of the categories whose attributes count; in others,
            AP_IoU_F1 needs the overlap only.
        **kwargs: Arguments of MMEngine's ``BaseMetric``.
    """

    default_prefix = 'fashionpedia'

    def __init__(
        self,
        ann_file: str,
        threshold: float = 0.3,
        with_attributes: Sequence[int] = WITH_ATTRIBUTES,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.ann_file = ann_file
        self.threshold, self.with_attributes = threshold, with_attributes

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            found = sample['pred_instances']
            boxes = found['bboxes'].cpu().numpy().astype(float)
            boxes[:, 2:] -= boxes[:, :2]
            entry = Detections(
                labels=found['labels'].cpu().numpy(),
                scores=found['scores'].cpu().numpy(),
                attributes=(found['attributes'] > self.threshold).cpu().numpy(),
                boxes=boxes,
                masks=encode_mask_results(found['masks'].cpu().numpy()),
            )
            self.results.append((sample['img_id'], entry))

    def compute_metrics(
        self, results: list[tuple[int, Detections]]
    ) -> dict[str, float]:
        annotations = PartAnnotations(self.ann_file)
        # MMEngine makes plain tuples of them.
        found = {image: Detections(*each) for image, each in results}
        return {
            f'{iou_type}_{name}': value
            for iou_type in ('segm', 'bbox')
            for name, value in evaluate_parts(
                annotations, found, iou_type, self.with_attributes
            ).items()
        }


def evaluate_parts(
    annotations: PartAnnotations,
    found: dict[int, Detections],
    iou_type: str = 'segm',
    with_attributes: Sequence[int] = WITH_ATTRIBUTES,
) -> dict[str, float]:
    """AP_IoU_F1, AP_IoU and AP_F1; see :class:`PartAttributeMetric`.

    Args:
        annotations: The truth.
        found: Detections by id of the image; images without any may be missing.
        iou_type: ``'segm'`` or ``'bbox'``.
        with_attributes: Ids of the categories whose attributes count.
    """
    groups = {label: [] for label in annotations.labels.values()}
    rated = {annotations.labels.get(each) for each in with_attributes}
    for image in sorted(annotations.imgs):
        for label, group in _groups(annotations, image, found.get(image), iou_type):
            groups[label].append(group)
    both, overlap, attributes = [], [], []
    for label, several in groups.items():
        if all(each.crowd.all() for each in several):
            continue
        precision = _precision(several, label in rated)  # [T, F, 101]
        counted = precision[:, :-1] if precision.shape[1] > 1 else precision
        both.append(counted[:-1].ravel())
        overlap.append(precision[:-1, -1].ravel())
        attributes.append(counted[-1].ravel())
    lists = dict(AP_IoU_F1=both, AP_IoU=overlap, AP_F1=attributes)
    return {
        name: float(np.concatenate(values).mean()) if values else -1.0
        for name, values in lists.items()
    }


def f1_scores(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Mean F1 of presence and absence between rows of 0 and 1.

    Args:
        first: [D, A].
        second: [G, A].

    Returns:
        [D, G]; 1 if both have no attribute, or all of them.
    """
    first, second = first.astype(float), second.astype(float)
    common, num = first @ second.T, first.shape[1]
    total = first.sum(1)[:, None] + second.sum(1)
    present = np.where(total > 0, 2 * common / total.clip(1), 1)
    total, common = 2 * num - total, num - total + common
    absent = np.where(total > 0, 2 * common / total.clip(1), 1)
    return (present + absent) / 2


def _groups(
    annotations: PartAnnotations, image: int, found: Detections | None, iou_type: str
) -> Iterator[tuple[int, Group]]:
    """Yield labels of an image with their detections and annotations."""
    entries = annotations.imgToAnns[image]
    entries = sorted(entries, key=lambda each: bool(each.get('iscrowd')))
    crowd = np.array([bool(each.get('iscrowd')) for each in entries], bool)
    owners = np.array([annotations.labels[each['category_id']] for each in entries])
    found = NO_DETECTIONS if found is None else found
    ious = f1s = np.zeros((len(found.scores), len(entries)))
    if ious.size:
        f1s = f1_scores(found.attributes, annotations.multi_hot(entries))
        if iou_type == 'segm':
            masks = [annotations.annToRLE(each) for each in entries]
            ious = mask_utils.iou(found.masks, masks, crowd)
        else:
            boxes = np.array([each['bbox'] for each in entries], float)
            ious = mask_utils.iou(found.boxes, boxes, crowd)
    order = np.argsort(-found.scores, kind='stable')
    for label in {*owners.tolist(), *found.labels.tolist()}:
        chosen = order[found.labels[order] == label][:MAX_DETECTIONS]
        true = np.flatnonzero(owners == label)
        pairs = chosen[:, None], true
        yield label, Group(found.scores[chosen], ious[pairs], f1s[pairs], crowd[true])


def _padded(arrays: Sequence[np.ndarray], fill: float) -> np.ndarray:
    """Arrays of different shapes in one, [N, …]."""
    shape = np.max([each.shape for each in arrays], 0)
    result = np.full((len(arrays), *shape), fill, arrays[0].dtype)
    for row, each in zip(result, arrays, strict=True):
        row[tuple(map(slice, each.shape))] = each
    return result


def match(
    ious: np.ndarray,
    f1s: np.ndarray,
    f1_thresholds: np.ndarray,
    ignored: np.ndarray,
    reusable: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Match detections, best first, for all pairs of thresholds and N images at once.

    A detection takes the free annotation that improves on both scores of the previous
    candidate, so their order counts.

    Args:
        ious: [N, D, G], minus infinity without such a detection or annotation.
        f1s: [N, D, G].
        f1_thresholds: [F].
        ignored: bool [N, G], after all others; only for detections without other
            matches.
        reusable: bool [N, G], may match several times.

    Returns:
        Whether detections match, and with an ignored one: bool [T, F, N, D] each.
    """
    num, detections, truths = ious.shape
    shape = len(THRESHOLDS), len(f1_thresholds), num
    least_iou = THRESHOLDS.clip(max=1 - 1e-10)[:, None, None]
    least_f1 = f1_thresholds.clip(max=1 - 1e-10)[:, None]
    free = np.ones((truths, *shape), bool)
    matched, with_ignored = np.zeros((2, *shape, detections), bool)
    for d in range(detections):
        rows = np.flatnonzero((ious[:, d] >= 0).any(1))
        iou, f1, best = least_iou, least_f1, np.full((*shape[:2], len(rows)), -1)
        for g in range(truths):
            this_iou, this_f1 = ious[rows, d, g], f1s[rows, d, g]
            better = free[g][..., rows] & (this_iou >= iou) & (this_f1 >= f1)
            better &= ~ignored[rows, g] | (best < 0) | ignored[rows, best]
            iou, f1 = np.where(better, this_iou, iou), np.where(better, this_f1, f1)
            best = np.where(better, g, best)
        t, f, row = np.nonzero(best >= 0)
        best, row = best[t, f, row], rows[row]
        matched[t, f, row, d] = True
        with_ignored[t, f, row, d] = ignored[row, best]
        free[best, t, f, row] = reusable[row, best]
    return matched, with_ignored


def _precision(groups: list[Group], rated: bool) -> np.ndarray:
    """Interpolated precision of a category at COCO's recalls, [T, F, 101]."""
    scores, ious, f1s, crowd = (
        _padded(arrays, fill)
        for arrays, fill in zip(
            zip(*groups, strict=True), (-1, -np.inf, 0, False), strict=True
        )
    )
    if rated:
        thresholds, reusable = THRESHOLDS, np.zeros_like(crowd)
    else:
        thresholds, reusable, f1s = THRESHOLDS[-1:], crowd, np.ones_like(f1s)
    matched, ignored = match(ious, f1s, thresholds, crowd, reusable)
    found = np.arange(scores.shape[1]) < [[len(each.scores)] for each in groups]
    order = np.argsort(-scores[found], kind='stable')
    matched, counted = matched[..., found][..., order], ~ignored[..., found][..., order]
    hits = matched & counted
    true, false = np.cumsum(hits, axis=2), np.cumsum(~matched & counted, axis=2)
    best = true / (true + false + np.spacing(1))
    best = np.maximum.accumulate(best[..., ::-1], axis=2)[..., ::-1]
    num = sum((~each.crowd).sum() for each in groups)
    by_hits = np.zeros((*best.shape[:2], num + 1))  # precision at a number of hits
    by_hits[..., :1] = best[..., :1] if best.size else 0
    t, f, at = np.nonzero(hits)
    by_hits[t, f, true[t, f, at]] = best[t, f, at]
    return by_hits[..., np.searchsorted(np.arange(num + 1) / num, RECALLS)]
