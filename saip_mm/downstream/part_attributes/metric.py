"""Average precision of boxes or masks together with attributes.

The metric of Fashionpedia (arXiv 2004.12276), as in its authors' package
(https://github.com/KMnP/fashionpedia-api): COCO's, but a detection matches only if its
overlap and the F1 score of its attributes reach a threshold each.
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


class Found(NamedTuple):
    """n detections in an image."""

    labels: np.ndarray  # [n]
    scores: np.ndarray  # [n]
    attributes: np.ndarray  # bool [n, A]
    boxes: np.ndarray  # [n, 4], x, y, w, h
    masks: list[dict]  # n run lengths


class Matches(NamedTuple):
    """Detections of a category in an image, by thresholds of IoU (T) and F1 (F)."""

    scores: np.ndarray  # [D], descending
    matched: np.ndarray  # bool [T, F, D]
    ignored: np.ndarray  # bool [T, F, D]: matched with a crowd
    num_truths: int


@METRICS.register_module()
class PartAttributeMetric(BaseMetric):
    """AP_IoU_F1, AP_IoU and AP_F1 in [0, 1], -1 without annotations.

    They are means over thresholds 0.5, 0.55, …, 0.95 of what their names say, and over
    categories.

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
            entry = Found(
                labels=found['labels'].cpu().numpy(),
                scores=found['scores'].cpu().numpy(),
                attributes=(found['attributes'] > self.threshold).cpu().numpy(),
                boxes=boxes,
                masks=encode_mask_results(found['masks'].cpu().numpy()),
            )
            self.results.append((sample['img_id'], entry))

    def compute_metrics(self, results: list[tuple[int, Found]]) -> dict[str, float]:
        annotations = PartAnnotations(self.ann_file)
        # MMEngine makes plain tuples of them.
        found = {image: Found(*each) for image, each in results}
        return {
            f'{iou_type}_{name}': value
            for iou_type in ('segm', 'bbox')
            for name, value in evaluate_parts(
                annotations, found, iou_type, self.with_attributes
            ).items()
        }


def evaluate_parts(
    annotations: PartAnnotations,
    found: dict[int, Found],
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
    matches = {label: [] for label in annotations.labels.values()}
    rated = {annotations.labels.get(each) for each in with_attributes}
    for image in sorted(annotations.imgs):
        for label, each in _match_image(
            annotations, image, found.get(image), iou_type, rated
        ):
            matches[label].append(each)
    both, overlap, attributes = [], [], []
    for several in matches.values():
        if not sum(each.num_truths for each in several):
            continue
        precision = _precision(several)  # [T, F, 101]
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
        [D, G]. If both have none, or all, the mean is that of the other class, 1.
    """
    first, second = first.astype(float), second.astype(float)
    scores = []
    for a, b in ((first, second), (1 - first, 1 - second)):
        total = a.sum(1)[:, None] + b.sum(1)
        scores.append(np.where(total > 0, 2 * (a @ b.T) / total.clip(1), 1))
    present, absent = scores
    return (present + absent) / 2


def _match_image(
    annotations: PartAnnotations,
    image: int,
    found: Found | None,
    iou_type: str,
    rated: set[int | None],
) -> Iterator[tuple[int, Matches]]:
    """Yield labels of an image with their matches."""
    entries = annotations.imgToAnns[image]
    owners = np.array(
        [annotations.labels[each['category_id']] for each in entries], int
    )
    crowds = np.array([bool(each.get('iscrowd')) for each in entries], bool)
    labels = np.zeros(0, int) if found is None else found.labels
    for label in np.union1d(owners, labels):
        # Crowds are last.
        truths = np.flatnonzero(owners == label)
        truths = truths[np.argsort(crowds[truths], kind='stable')]
        crowd, true = crowds[truths], [entries[i] for i in truths]
        chosen = np.flatnonzero(labels == label)
        if len(chosen):
            order = np.argsort(-found.scores[chosen], kind='stable')
            chosen = chosen[order[:MAX_DETECTIONS]]
        ious = np.zeros((len(chosen), len(true)))
        if ious.size and iou_type == 'segm':
            masks = [annotations.annToRLE(each) for each in true]
            ious = mask_utils.iou([found.masks[i] for i in chosen], masks, crowd)
        elif ious.size:
            boxes = np.array([each['bbox'] for each in true], float)
            ious = mask_utils.iou(found.boxes[chosen], boxes, crowd)
        thresholds, f1s, reusable = THRESHOLDS[-1:], np.ones_like(ious), crowd
        if label in rated:
            thresholds, reusable = THRESHOLDS, np.zeros_like(crowd)
        if label in rated and ious.size:
            f1s = f1_scores(found.attributes[chosen], annotations.multi_hot(true))
        matched, ignored = match(ious, f1s, thresholds, crowd, reusable)
        scores = found.scores[chosen] if len(chosen) else np.zeros(0)
        yield label, Matches(scores, matched, ignored, (~crowd).sum())


def match(
    ious: np.ndarray,
    f1s: np.ndarray,
    f1_thresholds: np.ndarray,
    ignored: np.ndarray,
    reusable: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Match detections, best first, for all pairs of thresholds at once.

    A detection takes the free annotation that improves on both scores of the previous
    candidate, so their order counts.

    Args:
        ious: [D, G].
        f1s: [D, G].
        f1_thresholds: [F].
        ignored: bool [G], after all others; only for detections without other matches.
        reusable: bool [G], may match several times.

    Returns:
        Whether detections match, and with an ignored one: bool [T, F, D] each.
    """
    shape = len(THRESHOLDS), len(f1_thresholds)
    least_iou = np.broadcast_to(THRESHOLDS.clip(max=1 - 1e-10)[:, None], shape)
    least_f1 = np.broadcast_to(f1_thresholds.clip(max=1 - 1e-10), shape)
    free = np.ones((*shape, ious.shape[1]), bool)
    matched, with_ignored = np.zeros((2, *shape, len(ious)), bool)
    for d in range(len(ious)):
        iou, f1, best = least_iou, least_f1, np.full(shape, -1)
        for g in range(ious.shape[1]):
            better = free[..., g] & (ious[d, g] >= iou) & (f1s[d, g] >= f1)
            if ignored[g]:
                better &= (best < 0) | ignored[best]
            iou, f1 = np.where(better, ious[d, g], iou), np.where(better, f1s[d, g], f1)
            best = np.where(better, g, best)
        at = np.nonzero(best >= 0)
        matched[(*at, d)] = True
        with_ignored[(*at, d)] = ignored[best[at]]
        free[(*at, best[at])] = reusable[best[at]]
    return matched, with_ignored


def _precision(matches: list[Matches]) -> np.ndarray:
    """Interpolated precision of a category at COCO's recalls, [T, F, 101]."""
    order = np.argsort(-np.concatenate([m.scores for m in matches]), kind='stable')
    matched = np.concatenate([m.matched for m in matches], axis=2)[..., order]
    counted = ~np.concatenate([m.ignored for m in matches], axis=2)[..., order]
    true = np.cumsum(matched & counted, axis=2, dtype=float)
    false = np.cumsum(~matched & counted, axis=2, dtype=float)
    recall = true / sum(each.num_truths for each in matches)
    best = true / (true + false + np.spacing(1))
    best = np.maximum.accumulate(best[..., ::-1], axis=2)[..., ::-1]
    precision = np.zeros((*best.shape[:2], len(RECALLS)))
    for at in np.ndindex(precision.shape[:2]):
        places = np.searchsorted(recall[at], RECALLS, side='left')
        reached = places < recall.shape[2]
        precision[at][reached] = best[at][places[reached]]
    return precision
