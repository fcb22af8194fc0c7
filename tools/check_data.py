"""Look at all images of a training before it begins.

    python tools/check_data.py configs/pretrain/saip_vit-tiny.py --out bad_images.jsonl
    python tools/check_data.py data/people --out bad_images.jsonl --good good.txt

reads every image as training does, in several processes. OUT lists those that cannot be
used, a line of JSON with index and reason each; GOOD lists the others, as PersonImages
takes it for `ann_file`. Scenes of a source of their own are listed with `scene` in the
place of `index`. The exit status is 1 if there are bad ones, 2 after an error.
"""

import argparse
import json
import os
import sys
from collections.abc import Set
from pathlib import Path

from rich.progress import track

from saip_mm.datasets.images import ImageError
from saip_mm.datasets.people import PeopleDataset
from saip_mm.engine.config import add_options, training_images
from saip_mm.engine.processes import forked_pool
from saip_mm.files import whole_file

images: PeopleDataset  # in the worker processes as well, which are forked


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


def locate(position: int) -> tuple[str, PeopleDataset, int]:
    """Kind, source and index of one of all images, those of the scenes last."""
    if position < len(images):
        return 'index', images, position
    return 'scene', images.scenes, position - len(images)


def reason(position: int) -> str | None:
    """Why an image cannot be used; None if it can."""
    _, source, index = locate(position)
    try:
        source.load_image(source.get_data_info(index))
    except ImageError as error:
        return str(error)
    return None


def list_bad(out: Path, total: int, processes: int) -> Set[int]:
    """Look at all images, and list in a file those that cannot be used."""
    with whole_file(out) as partial:
        partial.touch()  # if it cannot be written, not only when all has been read
        with forked_pool(processes) as pool:
            found = pool.map(reason, range(total), chunksize=64)
            reasons = list(track(found, 'Images', total))
        bad = {position: why for position, why in enumerate(reasons) if why}
        with open(partial, 'w') as file:
            for position, why in bad.items():
                kind, _, index = locate(position)
                file.write(f'{json.dumps({kind: index, "reason": why})}\n')
    return bad.keys()


def names_of(images: PeopleDataset) -> list[str]:
    """What a list calls all images.

    Raises:
        ValueError: If some cannot be in a list.
    """
    info = images.get_data_info(0)
    if 'img_path' not in info or 'box' in info:
        raise ValueError('--good: a list can only name images that are files')
    names = [images.get_data_info(i)['img_path'] for i in range(len(images))]
    for name in names:
        if name[0] == '#' or name.strip() != name or len(name.splitlines()) > 1:
            raise ValueError(
                f'--good: a list cannot name {name!r}, as it begins with #, begins or '
                'ends with a blank, or has several lines; rename the file'
            )
    return names


def main() -> int:
    global images
    args = parse_args()
    try:
        images = training_images(args.source, args.cfg_options)
        total = len(images) + (0 if images.scenes is None else len(images.scenes))
        names = names_of(images) if args.good else []
        bad = list_bad(args.out, total, args.processes)
        if args.good:
            good = [name for i, name in enumerate(names) if i not in bad]
            # Names need not be UTF-8: PersonImages reads them as they are written here.
            with whole_file(args.good) as partial:
                partial.write_bytes(b''.join(os.fsencode(f'{n}\n') for n in good))
    except (OSError, ValueError, KeyError, ImportError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print(f'{len(bad)} of {total} images cannot be used: {args.out}')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
