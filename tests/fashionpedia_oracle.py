"""The metric of Fashionpedia's authors; run it to compare its speed with ours.

    python tests/fashionpedia_oracle.py --num 100

draws images, changes each annotation at random to 3 detections, and measures these
with both.
"""

import argparse
import contextlib
import io
import tempfile
import time

import numpy as np
from pycocotools import mask as mask_utils

from saip_mm.downstream.part_attributes import PartAnnotations
from saip_mm.downstream.part_attributes.metric import Detections, evaluate_parts
from saip_mm.drawn import WRITERS


def official(annotations: PartAnnotations, found: dict, iou_type: str) -> dict:
    """The same figures by the authors' package."""
    from fashionpedia.fp import Fashionpedia
    from fashionpedia.fp_eval import FPEval

    np.float = float  # which new versions of NumPy lack
    truth = Fashionpedia()
    truth.dataset = annotations.dataset
    numbers = [each['id'] for each in annotations.dataset['attributes']]
    results = [
        dict(
            image_id=image,
            category_id=annotations.dataset['categories'][each.labels[i]]['id'],
            score=float(each.scores[i]),
            attribute_ids=[numbers[k] for k in each.attributes[i].nonzero()[0]],
        )
        | (
            dict(segmentation=each.masks[i])
            if iou_type == 'segm'
            else dict(bbox=each.boxes[i].tolist())
        )
        for image, each in found.items()
        for i in range(len(each.scores))
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = FPEval(truth, truth.loadRes(results), iou_type)
        # We compute neither the figures of sizes nor those of 1 and 10 detections.
        evaluation.params.areaRng = evaluation.params.areaRng[:1]
        evaluation.params.areaRngLbl = ['all']
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()
    return dict(
        AP_IoU_F1=evaluation._summarize('ap'),
        AP_IoU=evaluation._summarize('ap', f1=False),
        AP_F1=evaluation._summarize('ap', iou=False),
    )


def detections(annotations: PartAnnotations, kind: str) -> dict:
    """Perfect detections, or random changes of them."""
    rng, found = np.random.default_rng(0), {}
    num = len(annotations.labels)
    for image in sorted(annotations.imgs):
        if kind == 'nothing':
            continue
        entries = annotations.imgToAnns[image]
        masks = [annotations.annToMask(each) for each in entries]
        labels = [annotations.labels[each['category_id']] for each in entries]
        rows, scores = annotations.multi_hot(entries) > 0, np.ones(len(entries))
        if kind == 'noisy':
            twice = rng.permutation(np.repeat(np.arange(len(entries)), 3))
            masks = [np.roll(masks[i], rng.integers(0, 6, 2), (0, 1)) for i in twice]
            labels = [labels[i] for i in twice]
            rows = rows[twice] ^ (rng.random((len(twice), rows.shape[1])) < 0.005)
            scores = rng.integers(1, 4, len(twice)) / 4  # with ties
        elif kind == 'random':
            labels = rng.integers(num, size=len(entries))
            masks = [rng.permuted(each, axis=1) for each in masks]
            rows = rng.random(rows.shape) < 0.02
            scores = rng.random(len(entries))
        runs = [mask_utils.encode(np.asfortranarray(each)) for each in masks]
        boxes = [mask_utils.toBbox(each) for each in runs]
        boxes = np.array(boxes).reshape(-1, 4)
        found[image] = Detections(np.array(labels, int), scores, rows, boxes, runs)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument('--num', type=int, default=100, help='images')
    num = parser.parse_args().num
    with tempfile.TemporaryDirectory() as folder:
        WRITERS['fashionpedia'](folder, num, 0).write()
        path = f'{folder}/instances_attributes_train2020.json'
        annotations = PartAnnotations(path)
    found = detections(annotations, 'noisy')
    count = sum(len(each.scores) for each in found.values())
    print(f'{num} images, {count} detections')
    seconds = {}
    for measure in (official, evaluate_parts):
        start = time.perf_counter()
        print(measure.__name__, measure(annotations, found, 'segm'), end=' ')
        seconds[measure] = time.perf_counter() - start
        print(f'{seconds[measure]:.2f} s')
    print(f'{seconds[official] / seconds[evaluate_parts]:.0f} times as fast')


if __name__ == '__main__':
    main()
