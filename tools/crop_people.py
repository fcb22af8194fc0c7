"""Crop people from photographs.

With COCO-style boxes:
    python tools/crop_people.py photos data/people --ann photos/boxes.json
With an MMDetection detector that has a class "person":
    python tools/crop_people.py photos data/people \\
        --det-config CONFIG --det-checkpoint WEIGHTS

People in photos/a/b.jpg are written to data/people/a/b.jpg.0.jpg, b.jpg.1.jpg and so
on. Photographs that already have crops are skipped: rerun an interrupted command to
continue (exit status 130 after Ctrl-C, 143 after SIGTERM). Use another folder for other
boxes or settings.
"""

import argparse
import errno
import io
import os
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.progress import track

from saip_mm.checkpoints.files import open_checkpoint, state_dict_of
from saip_mm.data.folders import find_images, find_missing, path_of
from saip_mm.data.images import ImageError
from saip_mm.data.person_boxes import (
    Box,
    PersonBox,
    crop_person,
    large_enough,
    read_person_boxes,
    read_photograph,
)
from saip_mm.errors import exit_on_signals, one_line_errors, script_parser
from saip_mm.files import check_writable
from saip_mm.models.weights import load_weights
from saip_mm.processes import add_processes_option, worker_pool

KEPT = 'the crops written so far are kept; rerun the command to continue'


def parse_args() -> argparse.Namespace:
    parser = script_parser(__doc__)
    add, path = parser.add_argument, os.path.expanduser
    add('img_dir', type=path, help='folder of photographs')
    add('out_dir', type=path, help='folder for the crops')
    boxes = parser.add_mutually_exclusive_group(required=True)
    boxes.add_argument(
        '--ann', type=path, help='COCO-style boxes; file names relative to IMG_DIR'
    )
    boxes.add_argument('--det-config', help='config of an MMDetection detector')
    add('--det-checkpoint', help="the detector's weights")
    add('--score-thr', type=float, default=0.5, help='minimum score of a detection')
    add('--margin', type=float, default=0.1, help='per side, relative to the box')
    add(
        '--min-size',
        type=int,
        nargs=2,
        default=(64, 32),
        metavar=('H', 'W'),
        help='skip smaller boxes (pixels)',
    )
    add_processes_option(
        parser, 'processes that cut boxes of --ann (default: one per core)'
    )
    args = parser.parse_args()
    if args.margin < 0 or min(args.min_size) < 1:
        parser.error('--margin should be at least 0, --min-size at least 1')
    if bool(args.det_config) != bool(args.det_checkpoint):
        parser.error('--det-config and --det-checkpoint go together')
    img_dir, out_dir = Path(args.img_dir).resolve(), Path(args.out_dir).resolve()
    if out_dir.is_relative_to(img_dir) or img_dir.is_relative_to(out_dir):
        parser.error('IMG_DIR and OUT_DIR must not contain each other')
    return args


def find_photographs(args: argparse.Namespace) -> dict[str, list[PersonBox]]:
    """Return people by path of the photograph in IMG_DIR; none before detection."""
    if not args.ann:
        return {name: [] for name in find_images(args.img_dir)}
    people = {}
    for person in read_person_boxes(args.ann):
        path = path_of(args.img_dir, person.img_path)
        name = os.path.relpath(path, args.img_dir)
        if name.split(os.sep)[0] == os.pardir:
            raise ValueError(
                f'{args.ann}: {person.img_path} is not below {args.img_dir}; give a '
                'folder that contains all photographs'
            )
        people.setdefault(name, []).append(person)
    if len(find_missing(args.img_dir, people)) == len(people):
        raise FileNotFoundError(
            f'{args.img_dir}: has none of the photographs of {args.ann}, the first of '
            f'which is {next(iter(people))}; correct IMG_DIR, or "file_name" in it'
        )
    return people


def load_detector(args: argparse.Namespace) -> Callable[[np.ndarray], list[Box]]:
    """Return a function from images (RGB, uint8 ``[H, W, 3]``) to boxes of people."""
    try:
        from mmdet.apis import inference_detector, init_detector
    except ImportError as error:
        raise ModuleNotFoundError(
            f'--det-config needs MMDetection ({error}): `tools/install.sh complete` '
            'installs it; or give boxes with --ann'
        ) from error
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    with open_checkpoint(args.det_checkpoint) as (_, content):
        # MMDetection warns that there are no weights; it would load any that fit.
        with warnings.catch_warnings(record=True):
            model = init_detector(args.det_config, device=device)
        try:
            load_weights(model, state_dict_of(content))
        except ValueError as error:
            raise ValueError(f'{error}; give weights of {args.det_config}') from error
    meta = content.get('meta', {})
    meta = model.dataset_meta | meta | meta.get('dataset_meta', {})
    classes = [name.lower() for name in meta.get('CLASSES', meta['classes'])]
    if 'person' not in classes:
        raise ValueError(
            f'{args.det_config}: no class "person" among {", ".join(classes)}'
        )
    label = classes.index('person')

    def detect(image: np.ndarray) -> list[Box]:
        bgr = np.ascontiguousarray(image[..., ::-1])  # MMDetection reads images as BGR
        found = inference_detector(model, bgr).pred_instances
        found = found[(found.labels == label) & (found.scores >= args.score_thr)]
        return [
            (left, top, right - left, bottom - top)
            for left, top, right, bottom in found.bboxes.tolist()
        ]

    return detect


def save_crops(crops: list[np.ndarray], path: str) -> None:
    """Write ``path.0.jpg``, …; the first is written last and marks completion.

    Raises:
        ImageError: If a crop is too large for a JPEG, or the name too long.
    """
    files = []
    for crop in crops:  # before the first is written
        files.append(io.BytesIO())
        try:
            Image.fromarray(crop).save(files[-1], 'JPEG', quality=95, subsampling=0)
        except OSError as error:
            h, w = crop.shape[:2]
            raise ImageError(f'{path}: a crop of {h}x{w} is too large') from error
    os.makedirs(os.path.dirname(path), exist_ok=True)
    for number, file in reversed(list(enumerate(files))):
        unfinished = f'{path}.{number}.tmp'
        try:
            Path(unfinished).write_bytes(file.getbuffer())
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            raise ImageError(f'{path}: the name is too long for a crop') from error
        os.replace(unfinished, f'{path}.{number}.jpg')


def crop_photograph(
    args: argparse.Namespace,
    detect: Callable[[np.ndarray], list[Box]] | None,
    name: str,
    people: list[PersonBox],
) -> tuple[Counter, ImageError | None]:
    """Write a photograph's crops, if missing; return counts, and why it is skipped."""
    out = os.path.join(args.out_dir, name)
    if os.path.exists(f'{out}.0.jpg'):
        return Counter(done=1), None
    try:
        image = read_photograph(
            path_of(args.img_dir, people[0].img_path if people else name),
            people[0].size if people else None,
        )
        boxes = detect(image) if detect else [person.box for person in people]
        shape = image.shape[:2]
        large = [box for box in boxes if large_enough(box, shape, args.min_size)]
        save_crops([crop_person(image, box, args.margin) for box in large], out)
    except ImageError as error:
        return Counter(bad=1), error
    return Counter(crops=len(large), small=len(boxes) - len(large)), None


def crop_all(
    args: argparse.Namespace,
    photographs: dict[str, list[PersonBox]],
    detect: Callable[[np.ndarray], list[Box]] | None,
) -> Counter:
    """Write all missing crops; return counts of crops and skipped items."""
    counts, columns = Counter(), (photographs.keys(), photographs.values())
    with worker_pool(args.processes) as pool:
        crop = partial(crop_photograph, args, detect)
        # A detector stays in this process.
        found = map(crop, *columns) if detect else pool.map(crop, *columns, chunksize=8)
        for counted, error in track(found, 'Photographs', len(photographs)):
            counts += counted
            if error:
                print(f'Skipped: {error}')
    return counts


def main() -> None:
    args = parse_args()
    photographs = find_photographs(args)
    check_writable(os.path.join(args.out_dir, 'crop.jpg'))
    detect = None if args.ann else load_detector(args)
    try:
        counts = crop_all(args, photographs, detect)
    except OSError as error:
        raise OSError(f'{error}; {KEPT}') from error
    h, w = args.min_size
    print(
        f'{counts["crops"]} crops written to {args.out_dir}; skipped {counts["small"]} '
        f'boxes smaller than {h}x{w} pixels (h x w), {counts["bad"]} unusable '
        f'photographs, and {counts["done"]} that were finished before.'
    )
    if counts['done']:
        print(
            'Crops of finished photographs are kept whatever the options: to cut them '
            'with others, choose another folder.'
        )
    if not counts['crops'] + counts['done']:
        remedy = 'lower --min-size' if args.ann else 'lower --min-size or --score-thr'
        if counts['bad'] and not counts['small']:
            remedy = 'correct the photographs or boxes named above'
        raise ValueError(f'{args.out_dir}: no crops; {remedy}')


if __name__ == '__main__':
    with one_line_errors(), exit_on_signals(KEPT):
        main()
