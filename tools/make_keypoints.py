"""Find people's keypoints: `python tools/make_keypoints.py FOLDER CONFIG CHECKPOINT`.

Writes FOLDER/keypoints.json in COCO's format. Each image is the box of one person.
Rerun an interrupted command to continue.
"""

import argparse
import json
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
from rich.progress import track
from torch import cuda, nn, no_grad

from saip_mm.checkpoints.files import (
    open_checkpoint,
    resolve_checkpoint,
    state_dict_of,
)
from saip_mm.data import PersonImages
from saip_mm.data.images import ImageError
from saip_mm.drawn import KEYPOINTS
from saip_mm.errors import exit_on_signals, one_line_errors
from saip_mm.files import check_writable, read_text, sha256, write_text
from saip_mm.models.weights import load_weights
from saip_mm.predictions import whole_image

KEPT = 'the keypoints found so far are kept; rerun the command to continue'


def load_model(config: str, checkpoint: str) -> nn.Module:
    try:
        from mmpose.apis import init_model
    except ImportError as error:
        remedy = 'run `tools/install.sh complete`'
        raise ModuleNotFoundError(f'MMPose is missing ({error}); {remedy}') from error
    with open_checkpoint(checkpoint) as (_, content):
        model = init_model(config, device='cuda' if cuda.is_available() else 'cpu')
        load_weights(model, state_dict_of(content))
    model.dataset_meta |= content.get('meta', {}).get('dataset_meta', {})
    names = tuple(model.dataset_meta['keypoint_id2name'].values())[: len(KEYPOINTS)]
    if names != KEYPOINTS:
        found = f"{config}: the model's first keypoints are {', '.join(names)}"
        raise ValueError(f'{found}; use one of COCO or COCO-WholeBody')
    return model


def estimate(model: nn.Module, images: list[np.ndarray]) -> list[np.ndarray]:
    """Keypoints [17, 3] (x, y, score) of RGB images, uint8 [H, W, 3], of a person."""
    from mmengine.dataset import Compose, pseudo_collate

    prepare = Compose(model.cfg.test_dataloader.dataset.pipeline)
    batch = [prepare(whole_image(image, '', model.dataset_meta)) for image in images]
    with no_grad():
        found = model.test_step(pseudo_collate(batch)) if batch else []
    people = [each.pred_instances for each in found]
    return [np.c_[e.keypoints[0], e.keypoint_scores[0]][:17] for e in people]


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
    model: nn.Module, people: PersonImages, args: argparse.Namespace, partial: Path
) -> dict[str, list]:
    """Height, width, and keypoints by image, except for unusable ones."""
    weights = sha256(resolve_checkpoint(args.checkpoint))
    settings = dict(config=args.config, weights=weights, score_thr=args.score_thr)
    found = read_found(partial, settings)
    infos = [people.get_data_info(i) for i in range(len(people))]
    infos = [info for info in infos if info['img_path'] not in found]
    for start in track(range(0, len(infos), args.batch_size), args.img_dir):
        pixels, batch = {}, {}
        for info in infos[start : start + args.batch_size]:
            try:
                pixels[info['img_path']] = people.load_image(info)
            except ImageError as error:
                # Names need not be UTF-8, which only stderr can print.
                print(f'no keypoints: {error}', file=sys.stderr)
        rows_of_all = estimate(model, [*pixels.values()])
        for (name, image), rows in zip(pixels.items(), rows_of_all, strict=True):
            rows[:, 2] = 2 * (rows[:, 2] >= args.score_thr)  # 2 is visible, 0 unknown
            batch[name] = [*image.shape[:2], rows.ravel().round(2).tolist()]
        with open(partial, 'a', encoding='utf-8') as file:
            file.write(f'{json.dumps(batch)}\n')
        found |= batch
    return found


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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('img_dir', help='folder of person images')
    parser.add_argument('config', help='config of a top-down MMPose model')
    parser.add_argument('checkpoint', help='its weights')
    parser.add_argument('--list', default='', help='list of images (.txt) in FOLDER')
    parser.add_argument('--score-thr', type=float, default=0.0, help='minimum score')
    parser.add_argument('--batch-size', type=int, default=64)
    args = parser.parse_args()
    if args.batch_size < 1 or args.list.endswith('.json'):
        parser.error('give --batch-size 1 or more, and a list of images (.txt)')
    out = Path(args.img_dir, 'keypoints.json').expanduser()
    check_writable(out)
    people = PersonImages(args.img_dir, args.list)
    model, partial = load_model(args.config, args.checkpoint), out.with_suffix('.part')
    found = find_keypoints(model, people, args, partial)
    names = [people.get_data_info(i)['img_path'] for i in range(len(people))]
    content = to_coco(names, found)
    write_text(out, json.dumps(content))
    partial.unlink()
    print(f'wrote {out}: {len(content["annotations"])} of {len(people)} images')


if __name__ == '__main__':
    with one_line_errors(), exit_on_signals(KEPT):
        main()
