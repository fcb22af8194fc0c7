"""Probe frozen features, on drawn people that nothing was trained on or on yours.

python tools/probe.py work_dirs/saip
python tools/probe.py backbone.pth
python tools/probe.py random --config configs/pretrain/saip_demo.py
python tools/probe.py histogram
python tools/probe.py backbone.pth --market1501 data/Market-1501-v15.09.15
python tools/probe.py backbone.pth --coco data/coco/val2017 data/coco/keypoints.json

What can be probed: a training checkpoint or a work directory (its teacher), an exported
backbone, the random initialisation of a config, and three baselines without a network.
Nothing is trained but linear maps, in closed form. Where data sets of your own are
named, drawn people are probed only with --drawn.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from saip_mm.evaluation import (
    Subject,
    load_subject,
    probe_coco,
    probe_market1501,
    run_probes,
)
from saip_mm.files import check_writable, write_text


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'source',
        help='a checkpoint, a work directory, random, mean-colour, histogram or pixels',
    )
    parser.add_argument(
        '--config',
        type=Path,
        help='of the training (default: the one that the checkpoint holds, read as '
        'data); its image size is that of a baseline',
    )
    parser.add_argument(
        '--market1501',
        metavar='DIR',
        help='re-identify real people instead: query/ and bounding_box_test/ in DIR',
    )
    parser.add_argument(
        '--coco',
        nargs=2,
        metavar=('IMAGES', 'ANN'),
        help='find keypoints in photographs with COCO-style annotations instead',
    )
    parser.add_argument(
        '--drawn', action='store_true', help='probe drawn people as well'
    )
    parser.add_argument('--out', type=Path, help='JSON file for the scores')
    parser.add_argument(
        '--device', choices=['cpu', 'cuda'], help='default: a GPU if there is one'
    )
    args = parser.parse_args()
    if args.device == 'cuda' and not torch.cuda.is_available():
        parser.error('--device cuda: there is no GPU that PyTorch could use')
    args.device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    return args


def chosen_probes(args: argparse.Namespace) -> list[Callable[[Subject], dict]]:
    """What is to be probed: the data sets that are named, or else drawn people."""
    probes = []
    if args.market1501:
        probes.append(partial(probe_market1501, folder=args.market1501))
    if args.coco:
        img_dir, ann_file = args.coco
        probes.append(partial(probe_coco, img_dir=img_dir, ann_file=ann_file))
    if args.drawn or not probes:
        probes.append(run_probes)
    return probes


def main() -> int:
    args = parse_args()
    try:
        if args.out:
            check_writable(args.out)
        subject = load_subject(args.source, args.config, args.device)
        scores = {}
        for probe in chosen_probes(args):
            found = probe(subject)
            for name, score in found.items():
                print(f'{name:28}{score:8.4f}', flush=True)
            scores |= found
    except (OSError, ValueError, KeyError, ImportError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    if args.out:
        write_text(args.out, json.dumps(scores, indent=2) + '\n')
    return 0


if __name__ == '__main__':
    # Checkpoints hold tensors and plain data; nothing else in a file is to be run.
    os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'
    sys.exit(main())
