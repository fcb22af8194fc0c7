"""Probe frozen features on drawn people or your own data.

python tools/probe.py work_dirs/saip
python tools/probe.py backbone.pth
python tools/probe.py random --config configs/pretrain/saip_demo.py
python tools/probe.py histogram
python tools/probe.py backbone.pth --reid data/Market-1501-v15.09.15
python tools/probe.py saip-small --coco data/coco/val2017 data/coco/keypoints.json

Probes the teacher of a training checkpoint or work directory, an exported backbone, a
randomly initialized model, or a baseline without a network. Only linear maps are
fitted, in closed form. The token that represents an image, and whether it is whitened,
are chosen on training people. No model was trained on the drawn people. If photographs
are given, drawn people are probed only with --drawn.
"""

import argparse
import json
from pathlib import Path

import torch

from saip_mm import evaluation
from saip_mm.errors import one_line_errors, script_parser
from saip_mm.files import check_writable, write_text


def parse_args() -> argparse.Namespace:
    parser = script_parser(__doc__)
    parser.add_argument(
        'source',
        help='saip-small, saip-vit-tiny, an exported backbone, a training checkpoint, '
        'a work directory, random, mean-color, histogram, stripes or pixels',
    )
    parser.add_argument(
        '--config',
        type=Path,
        help='training config (default: the one in the checkpoint, loaded as data); '
        'baselines use its image size',
    )
    parser.add_argument(
        '--role',
        choices=['teacher', 'student'],
        help='which backbone of a training checkpoint (default: teacher)',
    )
    evaluation.add_people_options(parser)
    parser.add_argument('--drawn', action='store_true', help='probe drawn people too')
    parser.add_argument('--out', type=Path, help='JSON file for the scores')
    parser.add_argument(
        '--device', choices=['cpu', 'cuda'], help='default: a GPU if available'
    )
    args = parser.parse_args()
    if args.device == 'cuda' and not torch.cuda.is_available():
        parser.error('--device cuda: PyTorch finds no GPU')
    args.device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    return args


def main() -> None:
    args = parse_args()
    if args.out:
        check_writable(args.out)
    people = evaluation.people_of(args)
    subject = evaluation.load_subject(args.source, args.config, args.device, args.role)
    scores = {}

    def report(found: dict[str, float]) -> None:
        for name, score in found.items():
            print(f'{name:28}{score:8.4f}', flush=True)
        scores.update(found)
        if args.out:
            write_text(args.out, json.dumps(scores, indent=2) + '\n')

    for found in evaluation.probe_real(subject, people):
        report(found)
    if args.drawn or not people:
        report(evaluation.run_probes(subject))
    if not scores:
        raise ValueError(
            f'{args.source} has no features of patches, which --parts and --coco need: '
            'add --reid or --attributes'
        )


if __name__ == '__main__':
    with one_line_errors():
        main()
