"""Find people's keypoints: `python tools/make_keypoints.py FOLDER CONFIG CHECKPOINT`.

Writes keypoints.json, or --out, in COCO's format. Each image counts as the box of one
person. Rerun an interrupted command to continue.
"""

import argparse
import json
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
from rich.progress import track
from torch import cuda

from saip_mm.checkpoints.files import resolve_checkpoint
from saip_mm.data import PersonImages
from saip_mm.data.folders import path_of
from saip_mm.drawn import KEYPOINTS
from saip_mm.errors import exit_on_signals, one_line_errors, script_parser
from saip_mm.files import check_writable, read_text, sha256, write_text
from saip_mm.predictions import Predictor
from saip_mm.processes import count
from saip_mm.training.config import load_config

KEPT = 'the keypoints found so far are kept; rerun the command to continue'


def load_pose_model(config: str, checkpoint: str) -> Predictor:
    try:
        import mmpose.apis  # noqa: F401
    except ImportError as error:
        remedy = 'run `tools/install.sh complete`'
        raise ModuleNotFoundError(f'MMPose is missing ({error}); {remedy}') from error
    device = 'cuda' if cuda.is_available() else 'cpu'
    predictor = Predictor(load_config(config), checkpoint, device)
    names = tuple(predictor.meta.get('keypoint_id2name', {}).values())[: len(KEYPOINTS)]
    if names != KEYPOINTS:
        found = ', '.join(names) or 'unknown'
        raise ValueError(
            f"{config}: the model's first keypoints are {found}; use one of COCO or "
            'COCO-WholeBody'
        )
    return predictor


def read_found(path: Path, settings: dict) -> dict[str, list]:
    """What an interrupted command found: height, width, and keypoints by image.

    The file has a line with the settings and one per batch.
    """
    records = []
    for line in read_text(path).splitlines() if path.exists() else []:
        with suppress(json.JSONDecodeError):  # the last one may be incomplete
            records.append(json.loads(line))
    if records[:1] not in ([], [settings]):
        raise ValueError(
            f'{path}: was found with another model or --score-thr; rerun the command '
            'that was interrupted, or remove the file to start again'
        )
    found = {name: each for record in records[1:] for name, each in record.items()}
    # Without the incomplete line, to append to.
    write_text(path, ''.join(f'{json.dumps(each)}\n' for each in (settings, found)))
    return found


def find_keypoints(
    predictor: Predictor, people: PersonImages, args: argparse.Namespace, partial: Path
) -> dict[str, list]:
    """Height, width, and keypoints by image, except for unusable ones."""
    weights = sha256(resolve_checkpoint(args.checkpoint))
    settings = dict(config=args.config, weights=weights, score_thr=args.score_thr)
    found = read_found(partial, settings)
    names = [name for name in names_of(people) if name not in found]
    for start in track(range(0, len(names), args.batch_size), args.img_dir):
        part = names[start : start + args.batch_size]
        paths = {path_of(people.folder, name): name for name in part}
        batch, left_out = {}, []
        for path, _, sample, image in predictor(paths, args.batch_size, left_out):
            person = sample.pred_instances
            rows = np.c_[person.keypoints[0], person.keypoint_scores[0]]
            rows = rows[: len(KEYPOINTS)]  # x, y, score
            rows[:, 2] = 2 * (rows[:, 2] >= args.score_thr)  # 2 is visible, 0 unknown
            batch[paths[path]] = [*image.shape[:2], rows.ravel().round(2).tolist()]
        for error in left_out:
            # Names need not be UTF-8, which only stderr can print.
            print(f'no keypoints: {error}', file=sys.stderr)
        with open(partial, 'a', encoding='utf-8') as file:
            file.write(f'{json.dumps(batch)}\n')
        found |= batch
    return found


def names_of(people: PersonImages) -> list[str]:
    return [people.get_data_info(i)['img_path'] for i in range(len(people))]


def to_coco(names: list[str], found: dict[str, list]) -> dict:
    """COCO-style annotations; unusable images have no person."""
    images, annotations = [], []
    for index, name in enumerate(names):
        images.append(dict(id=index, file_name=name))
        if name in found:
            h, w, keypoints = found[name]
            images[index] |= dict(height=h, width=w)
            labels = dict(bbox=[0, 0, w, h], keypoints=keypoints)
            annotations.append(dict(id=index, image_id=index, category_id=1, **labels))
    person = [dict(id=1, name='person', keypoints=KEYPOINTS)]
    return dict(images=images, annotations=annotations, categories=person)


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument('img_dir', help='folder of person images')
    parser.add_argument('config', help='config of a top-down MMPose model')
    parser.add_argument('checkpoint', help='weights of the model')
    parser.add_argument('--list', default='', help='list of images (.txt) in FOLDER')
    parser.add_argument('--out', type=Path, help='default: FOLDER/keypoints.json')
    parser.add_argument('--score-thr', type=float, default=0.0, help='minimum score')
    parser.add_argument('--batch-size', type=count, default=64)
    args = parser.parse_args()
    if args.list.endswith('.json'):
        parser.error(f'--list {args.list}: give a list of images (.txt)')
    out = (args.out or Path(args.img_dir, 'keypoints.json')).expanduser()
    check_writable(out)
    people = PersonImages(args.img_dir, args.list)
    predictor = load_pose_model(args.config, args.checkpoint)
    partial = out.with_suffix('.part')
    found = find_keypoints(predictor, people, args, partial)
    content = to_coco(names_of(people), found)
    write_text(out, json.dumps(content))
    partial.unlink()
    print(f'wrote {out}: {len(content["annotations"])} of {len(people)} images')


if __name__ == '__main__':
    with one_line_errors(), exit_on_signals(KEPT):
        main()
