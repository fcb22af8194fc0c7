"""Cut the people out of photographs.

With COCO-style boxes:
    python tools/crop_people.py photos data/people --ann photos/boxes.json
With a detector of MMDetection that knows the class "person":
    python tools/crop_people.py photos data/people \\
        --det-config CONFIG --det-checkpoint WEIGHTS

The people of photos/a/b.jpg become data/people/a/b.jpg.0.jpg, b.jpg.1.jpg and so on.
Photographs whose people are there already are skipped: the same command goes on after
an interruption. For other boxes or other settings use another folder.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.progress import track

from saip_mm.datasets.images import ImageError, find_images
from saip_mm.datasets.person_boxes import (
    Box,
    PersonBox,
    crop_person,
    find_missing,
    large_enough,
    read_person_boxes,
    read_photograph,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('img_dir', help='folder of the photographs')
    parser.add_argument('out_dir', help='folder for the crops')
    boxes = parser.add_mutually_exclusive_group(required=True)
    boxes.add_argument('--ann', help='COCO-style boxes; file names are below IMG_DIR')
    boxes.add_argument('--det-config', help='config of a detector of MMDetection')
    parser.add_argument('--det-checkpoint', help="the detector's weights")
    parser.add_argument(
        '--score-thr', type=float, default=0.5, help='least score of a detection'
    )
    parser.add_argument(
        '--margin', type=float, default=0.1, help='on each side, relative to the box'
    )
    parser.add_argument(
        '--min-size',
        type=int,
        nargs=2,
        default=(64, 32),
        metavar=('H', 'W'),
        help='leave out smaller boxes (pixels)',
    )
    args = parser.parse_args()
    if args.margin < 0:
        parser.error('--margin should be at least 0')
    if bool(args.det_config) != bool(args.det_checkpoint):
        parser.error('--det-config and --det-checkpoint go together')
    if args.det_config and _is_below(args.out_dir, args.img_dir):
        parser.error('OUT_DIR is in IMG_DIR: the crops would be taken for photographs')
    return args


def _is_below(path: str, folder: str) -> bool:
    return Path(path).resolve().is_relative_to(Path(folder).resolve())


def people_by_photograph(ann_file: str, img_dir: str) -> dict[str, list[PersonBox]]:
    people = {}
    for person in read_person_boxes(ann_file):
        if not _is_below(os.path.join(img_dir, person.img_path), img_dir):
            raise ValueError(f'{ann_file}: {person.img_path} is not below {img_dir}')
        people.setdefault(person.img_path, []).append(person)
    return people


def load_detector(args: argparse.Namespace) -> Callable[[np.ndarray], list[Box]]:
    """Return a function from an image (RGB, uint8 ``[H, W, 3]``) to people's boxes."""
    try:
        from mmdet.apis import inference_detector, init_detector
    except ImportError as error:
        sys.exit(
            f'--det-config needs MMDetection, which cannot be imported ({error}); '
            'install the extra "downstream", or give boxes with --ann'
        )
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    model = init_detector(args.det_config, args.det_checkpoint, device=device)
    classes = [name.lower() for name in model.dataset_meta['classes']]
    if 'person' not in classes:
        sys.exit(f'{args.det_config}: no class "person" among {", ".join(classes)}')
    label = classes.index('person')

    def detect(image: np.ndarray) -> list[Box]:
        bgr = np.ascontiguousarray(image[..., ::-1])  # as MMDetection reads images
        found = inference_detector(model, bgr).pred_instances
        found = found[(found.labels == label) & (found.scores >= args.score_thr)]
        return [
            (left, top, right - left, bottom - top)
            for left, top, right, bottom in found.bboxes.tolist()
        ]

    return detect


def save_crops(crops: list[np.ndarray], path: str) -> None:
    """Write ``path.0.jpg``, …, the first one last: it says that all are there."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    for number, crop in reversed(list(enumerate(crops))):
        unfinished = f'{path}.{number}.tmp'
        Image.fromarray(crop).save(unfinished, format='JPEG', quality=95, subsampling=0)
        os.replace(unfinished, f'{path}.{number}.jpg')


def main() -> None:
    args = parse_args()
    if args.ann:
        try:
            people = people_by_photograph(args.ann, args.img_dir)
        except (OSError, ValueError) as error:
            sys.exit(f'error: {error}')
        photographs = list(people)
        if len(find_missing(args.img_dir, photographs)) == len(photographs):
            sys.exit(f'{args.img_dir}: none of the photographs of {args.ann} is there')
    else:
        photographs = find_images(args.img_dir)
        detect = load_detector(args)
    counts = Counter()
    for name in track(photographs, 'Photographs'):
        out = os.path.join(args.out_dir, name)
        if os.path.exists(f'{out}.0.jpg'):
            counts['done'] += 1
            continue
        path = os.path.join(args.img_dir, name)
        try:
            image = read_photograph(path, people[name][0].size if args.ann else None)
        except ImageError as error:
            print(f'Skipped: {error}')
            counts['bad'] += 1
            continue
        boxes = [person.box for person in people[name]] if args.ann else detect(image)
        large = [b for b in boxes if large_enough(b, image.shape[:2], args.min_size)]
        save_crops([crop_person(image, box, args.margin) for box in large], out)
        counts['crops'] += len(large)
        counts['small'] += len(boxes) - len(large)
    h, w = args.min_size
    print(
        f'{counts["crops"]} crops written to {args.out_dir}; skipped {counts["small"]} '
        f'boxes smaller than {h}x{w} pixels (h x w), {counts["bad"]} photographs that '
        f'cannot be used, and {counts["done"]} that were done before.'
    )
    if not counts['crops'] + counts['done']:
        sys.exit(f'{args.out_dir}: no crops; lower --min-size or --score-thr?')


if __name__ == '__main__':
    # A checkpoint can hold code; torch then refuses it instead of running it.
    os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'
    main()
