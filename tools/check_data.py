"""Look at all images of a training before it begins.

    python tools/check_data.py configs/pretrain/saip_vit-tiny.py --out bad_images.jsonl
    python tools/check_data.py data/people --out bad_images.jsonl --good good.txt

reads every image as training does, in several processes. OUT lists those that cannot be
used, a line of JSON with index and reason each; GOOD lists the others, as PersonImages
takes it for `ann_file`. The exit status is 1 if there are bad ones.
"""

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from rich.progress import track

from saip_mm.datasets.images import ImageError
from saip_mm.datasets.people import PeopleDataset
from saip_mm.engine.config import add_options, training_images
from saip_mm.engine.files import whole_file, write_text

dataset: PeopleDataset  # in the worker processes as well, which are forked


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'source', help='config file; folder or list of images; or shards'
    )
    parser.add_argument('--out', required=True, type=Path, help='list of bad images')
    parser.add_argument(
        '--good', type=Path, help='list of the others (images in a folder or a list)'
    )
    parser.add_argument(
        '--processes', type=int, default=os.cpu_count(), help='default: one per core'
    )
    add_options(parser)
    args = parser.parse_args()
    if args.processes < 1:
        parser.error('--processes should be at least 1')
    return args


def reason(index: int) -> str | None:
    """Why an image cannot be used; None if it can."""
    try:
        dataset.load_image(dataset.get_data_info(index))
    except ImageError as error:
        return str(error)
    return None


def main() -> int:
    global dataset
    args = parse_args()
    try:
        dataset = training_images(args.source, args.cfg_options)
        info = dataset.get_data_info(0)
        if args.good and ('img_path' not in info or 'box' in info):
            raise ValueError('--good: a list can only name images that are files')
        with ProcessPoolExecutor(args.processes, get_context('fork')) as pool:
            found = pool.map(reason, range(len(dataset)), chunksize=64)
            reasons = list(track(found, 'Images', len(dataset)))
        bad = [(i, why) for i, why in enumerate(reasons) if why]
        lines = [json.dumps(dict(index=i, reason=why)) for i, why in bad]
        write_text(args.out, ''.join(f'{line}\n' for line in lines))
        if args.good:
            paths = [
                dataset.get_data_info(i)['img_path']
                for i, why in enumerate(reasons)
                if not why
            ]
            # Names need not be UTF-8: PersonImages reads them as they are written here.
            with whole_file(args.good) as partial:
                partial.write_bytes(b''.join(os.fsencode(f'{p}\n') for p in paths))
    except (OSError, ValueError, KeyError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print(f'{len(bad)} of {len(dataset)} images cannot be used: {args.out}')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
