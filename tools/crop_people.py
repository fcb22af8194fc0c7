"""Crop people from photographs.

With COCO-style boxes:
    python tools/crop_people.py photos data/people --ann photos/boxes.json
With a detector of MMDetection with a class "person":
    python tools/crop_people.py photos data/people \\
        --det-config CONFIG --det-checkpoint WEIGHTS

People in photos/a/b.jpg are written to data/people/a/b.jpg.0.jpg, b.jpg.1.jpg and so
on; long names are shortened. Photographs that already have crops are skipped: rerun an
interrupted command to continue (exit status 130 after Ctrl-C, 143 after SIGTERM). Use
another folder for other boxes or settings.
"""

import argparse
import hashlib
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.progress import track

from saip_mm.data.coco import Box
from saip_mm.data.folders import find_images, find_missing, path_of
from saip_mm.data.images import ImageError
from saip_mm.data.person_boxes import (
    PersonBox,
    crop_person,
    large_enough,
    read_person_boxes,
    read_photograph,
)
from saip_mm.errors import one_line_errors, stoppable

KEPT = 'the crops written so far are kept; rerun the command to continue'
MAX_NAME = 245  # bytes; most file systems allow 255, and a crop adds up to '.99999.jpg'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
    args = parser.parse_args()
    if args.margin < 0:
        parser.error('--margin should be at least 0')
    if bool(args.det_config) != bool(args.det_checkpoint):
        parser.error('--det-config and --det-checkpoint go together')
    img_dir, out_dir = Path(args.img_dir).resolve(), Path(args.out_dir).resolve()
    if out_dir.is_relative_to(img_dir):
        parser.error('OUT_DIR is in IMG_DIR: crops would be read as photographs')
    if img_dir.is_relative_to(out_dir):
        parser.error(
            'IMG_DIR is in OUT_DIR: photographs would be read as crops; choose '
            'another OUT_DIR'
        )
    return args


def find_photographs(args: argparse.Namespace) -> dict[str, list[PersonBox]]:
    """Return people by path of the photograph in IMG_DIR; none before detection."""
    if not args.ann:
        return {name: [] for name in find_images(args.img_dir)}
    people = {}
    for person in read_person_boxes(args.ann):
        name = name_below(path_of(args.img_dir, person.img_path), args.img_dir)
        if name is None:
            raise ValueError(
                f'{args.ann}: {person.img_path} is not below {args.img_dir}; give a '
                'folder that contains all photographs'
            )
        people.setdefault(name, []).append(person)
    if len(find_missing(args.img_dir, people)) == len(people):
        raise FileNotFoundError(
            f'none of the photographs of {args.ann} is in {args.img_dir}'
            + explain_missing(list(people), args.img_dir, args.out_dir)
        )
    return people


def name_below(path: str, folder: str) -> str | None:
    """Return the path relative to a folder; None if it, or its target, is outside."""
    for resolve in (os.path.abspath, os.path.realpath):  # links may lead outside
        name = os.path.relpath(resolve(path), resolve(folder))
        if name.split(os.sep)[0] not in (os.curdir, os.pardir):
            return name
    return None


def explain_missing(names: list[str], img_dir: str, out_dir: str) -> str:
    """Return the end of an error message: why no photograph was found, a remedy."""
    if not os.path.isdir(img_dir):
        return ', which is no folder; correct IMG_DIR'
    if len(find_missing(out_dir, names)) < len(names):
        return f', but they are in {out_dir}; give IMG_DIR first, then OUT_DIR'
    tried = f'; the first one searched is {os.path.join(img_dir, names[0])}'
    below = sorted(each for each in Path(img_dir).iterdir() if each.is_dir())
    for folder in (Path(img_dir).resolve().parent, *below):
        if (folder / names[0]).exists():
            return f'{tried}. {folder / names[0]} exists: give {folder} as IMG_DIR'
    for slash in (i for i, char in enumerate(names[0]) if char == os.sep):
        prefix, shorter = names[0][: slash + 1], f'{img_dir}/{names[0][slash + 1 :]}'
        if os.path.exists(shorter):
            return (
                f'{tried}. {shorter} exists: remove {prefix} from "file_name", or move '
                f'the photographs to {os.path.join(img_dir, prefix)}'
            )
    return f'{tried}. Correct IMG_DIR, or "file_name" in the annotations'


def load_detector(args: argparse.Namespace) -> Callable[[np.ndarray], list[Box]]:
    """Return a function from images (RGB, uint8 ``[H, W, 3]``) to boxes of people."""
    try:
        from mmdet.apis import inference_detector, init_detector
    except ImportError as error:
        raise ModuleNotFoundError(
            f'--det-config needs MMDetection, which cannot be imported ({error}); '
            'install the extra "downstream", or give boxes with --ann'
        ) from error
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    model = init_detector(args.det_config, args.det_checkpoint, device=device)
    classes = [name.lower() for name in model.dataset_meta['classes']]
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


def crops_path(name: str) -> str:
    """Return the path of a photograph's crops, without their suffixes.

    Names that are too long for file systems are shortened, with a digest.
    """
    folder, base = os.path.split(name)
    encoded = os.fsencode(base)
    if len(encoded) > MAX_NAME:
        digest = hashlib.sha256(encoded).hexdigest()[:16]
        base = f'{encoded[:200].decode(errors="ignore")}.{digest}'
    return os.path.join(folder, base)


def save_crops(crops: list[np.ndarray], path: str) -> None:
    """Write ``path.0.jpg``, …; the first is written last and marks completion."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    for number, crop in reversed(list(enumerate(crops))):
        unfinished = f'{path}.{number}.tmp'
        Image.fromarray(crop).save(unfinished, format='JPEG', quality=95, subsampling=0)
        os.replace(unfinished, f'{path}.{number}.jpg')


def crop_all(
    args: argparse.Namespace,
    photographs: dict[str, list[PersonBox]],
    detect: Callable[[np.ndarray], list[Box]] | None,
) -> Counter:
    """Write all missing crops; return counts of crops and skipped items."""
    counts = Counter()
    for name, people in track(photographs.items(), 'Photographs'):
        out = os.path.join(args.out_dir, crops_path(name))
        if os.path.exists(f'{out}.0.jpg'):
            counts['done'] += 1
            continue
        try:
            image = read_photograph(
                path_of(args.img_dir, people[0].img_path if people else name),
                people[0].size if people else None,
            )
        except ImageError as error:
            print(f'Skipped: {error}')
            counts['bad'] += 1
            continue
        boxes = detect(image) if detect else [person.box for person in people]
        large = [b for b in boxes if large_enough(b, image.shape[:2], args.min_size)]
        save_crops([crop_person(image, box, args.margin) for box in large], out)
        counts['crops'] += len(large)
        counts['small'] += len(boxes) - len(large)
    return counts


def main() -> None:
    args = parse_args()
    sys.stdout.reconfigure(errors='backslashreplace')  # file names need not be UTF-8
    photographs = find_photographs(args)
    os.makedirs(args.out_dir, exist_ok=True)
    with tempfile.TemporaryFile(dir=args.out_dir):
        pass  # fails now instead of after the first photographs
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
    if not counts['crops'] + counts['done']:
        raise ValueError(f'{args.out_dir}: no crops; lower --min-size or --score-thr')


if __name__ == '__main__':
    # Checkpoints hold tensors and plain data; nothing in a file may be executed.
    os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'
    with one_line_errors(), stoppable(KEPT):
        main()
