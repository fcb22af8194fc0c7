"""Run a model on images.

    python tools/predict.py configs/transfer/attributes_saip-small.py \\
        work_dirs/attributes_saip-small photos --out predictions

Writes pictures, and all answers to predictions.json: attributes with scores, the
nearest 100 images in a gallery (--gallery, re-identification), keypoints (images of one
person each), boxes, attributes of parts, or parsing maps. A model of text-to-image
retrieval searches for a sentence:

    python tools/predict.py CONFIG CHECKPOINT 'a man in a red coat' --gallery photos \\
        --out predictions

A pretrained SAIP searches photographs of scenes for the person in each image:

    python tools/predict.py configs/pretrain/saip_demo.py work_dirs/demo people \\
        --gallery scenes --out predictions

Unreadable images are listed and skipped; the exit status is then 1.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import torch
from rich.progress import track

from saip_mm.data.folders import find_images
from saip_mm.errors import exit_on_signals, one_line_errors, script_parser
from saip_mm.files import write_text
from saip_mm.predictions import load_predictor
from saip_mm.processes import count

NEAREST = 100  # images of the gallery to list per query
PARTIAL = 'predictions.partial.json'  # in OUT, after an error or a signal
KEPT = f'the answers so far, if any, are in {PARTIAL}'


def parse_args() -> argparse.Namespace:
    parser = script_parser(__doc__)
    parser.add_argument('config', help='training config; it is executed')
    parser.add_argument('checkpoint', help='checkpoint or work directory')
    parser.add_argument(
        'images',
        help='image or folder of images; for text-to-image retrieval, a sentence',
    )
    parser.add_argument('--out', type=Path, required=True, help='folder for results')
    parser.add_argument('--gallery', help='folder of images to rank for each query')
    parser.add_argument('--batch-size', type=count, default=16)
    parser.add_argument(
        '--device', default='cuda' if torch.cuda.is_available() else 'cpu'
    )
    args = parser.parse_args()
    if args.device.startswith('cuda') and not torch.cuda.is_available():
        parser.error(f'--device {args.device}: PyTorch finds no GPU')
    if args.out.is_file():
        parser.error(f'--out {args.out}: is a file; give a folder')
    for folder in filter(os.path.isdir, (args.images, args.gallery or '')):
        if args.out.resolve().is_relative_to(Path(folder).resolve()):
            parser.error(
                f'--out is in {folder}, and the next run would take its pictures for '
                'images: choose another folder'
            )
    return args


def files(place: str) -> dict[str, str]:
    """Paths of an image or of all images in a folder, by name."""
    if os.path.isfile(place):
        return {os.path.basename(place): place}
    if not os.path.isdir(place):
        raise FileNotFoundError(f'{place}: no such image or folder of images')
    return {name: os.path.join(place, name) for name in find_images(place)}


def write_answers(answers: dict, file: Path) -> None:
    write_text(file, json.dumps(answers, indent=1) + '\n')


def main() -> None:
    args = parse_args()
    gallery = files(args.gallery) if args.gallery else {}
    predictor = load_predictor(args.config, args.checkpoint, args.device)
    if predictor.task == 'text_retrieval':
        if os.path.exists(args.images):
            raise ValueError(f'{args.images}: is no sentence to search for')
        names = {args.images: args.images}
    else:
        names = {path: name for name, path in files(args.images).items()}
    args.out.mkdir(parents=True, exist_ok=True)
    answers, left_out = {}, []
    predictor.index(list(gallery.values()), left_out, NEAREST)
    found = predictor(names, args.batch_size, left_out)
    try:
        for prediction in track(found, 'Predicting', total=len(names), transient=True):
            name = names[prediction.path]
            answers[name] = prediction.answer
            if predictor.task == 'text_retrieval':
                # File names have at most 255 bytes.
                name = name.replace(os.sep, '_')[:60]
            picture = args.out / f'{name}.png'
            picture.parent.mkdir(parents=True, exist_ok=True)
            predictor.draw(prediction, picture)
    except BaseException:  # a picture that cannot be written, or Ctrl-C
        write_answers(answers, args.out / PARTIAL)
        raise
    write_answers(answers, args.out / 'predictions.json')
    (args.out / PARTIAL).unlink(missing_ok=True)
    print(f'{len(answers)} pictures and predictions.json in {args.out}')
    if left_out:
        left_out = set(map(str, left_out))  # an image may be both query and gallery
        for error in sorted(left_out):
            print(f'left out: {error}', file=sys.stderr)
        sys.exit(f'{len(left_out)} unreadable images were left out')


if __name__ == '__main__':
    with one_line_errors(), exit_on_signals(KEPT):
        main()
