"""Find people's keypoints: `python tools/make_keypoints.py FOLDER CONFIG CHECKPOINT`.

Writes FOLDER/keypoints.json in COCO's format. Each image is the box of one person.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from rich.progress import track
from torch import cuda, nn, no_grad

from saip_mm.checkpoints.files import open_checkpoint, state_dict_of
from saip_mm.data import PersonImages
from saip_mm.data.images import ImageError
from saip_mm.drawn import KEYPOINTS
from saip_mm.errors import one_line_errors
from saip_mm.files import check_writable, write_text
from saip_mm.models.weights import load_weights
from saip_mm.predictions import whole_image


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


def annotate(model: nn.Module, people: PersonImages, args) -> dict:
    """COCO-style annotations; unusable images have no person."""
    infos = [people.get_data_info(i) for i in range(len(people))]
    images = [dict(id=i, file_name=e['img_path']) for i, e in enumerate(infos)]
    annotations = []
    for start in track(range(0, len(infos), args.batch_size), args.img_dir):
        pixels = {}
        for index in range(start, min(start + args.batch_size, len(infos))):
            try:
                pixels[index] = people.load_image(infos[index])
            except ImageError as error:
                # Names need not be UTF-8, which only stderr can print.
                print(f'no keypoints: {error}', file=sys.stderr)
        found = estimate(model, [*pixels.values()])
        for (index, image), rows in zip(pixels.items(), found, strict=True):
            h, w = image.shape[:2]
            images[index] |= dict(height=h, width=w)
            rows[:, 2] = 2 * (rows[:, 2] >= args.score_thr)  # 2 is visible, 0 unknown
            labels = dict(bbox=[0, 0, w, h], keypoints=rows.ravel().round(2).tolist())
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
    content = annotate(load_model(args.config, args.checkpoint), people, args)
    write_text(out, json.dumps(content))
    print(f'wrote {out}: {len(content["annotations"])} of {len(people)} images')


if __name__ == '__main__':
    with one_line_errors():
        main()
