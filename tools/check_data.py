"""Check all training images in advance.

    python tools/check_data.py configs/pretrain/saip_vit-tiny.py --out bad_images.jsonl
    python tools/check_data.py data/people --out bad_images.jsonl \\
        --good data/people/good.txt

Images are read as in training, by several processes. OUT lists unusable images and
images of a single color (such as black), which training would use: one JSON object per
line with `index` and `reason`, or `scene` and `reason` for scenes from another source.
GOOD lists the other images, as an `ann_file` of PersonImages. The exit status is 1 if
OUT lists any images, 2 after an error, 130 after Ctrl-C, and 143 after SIGTERM; in the
last two cases, OUT.partial lists the images found so far.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from rich.progress import track

from saip_mm.data import ConcatPeople, PeopleDataset
from saip_mm.data.images import ImageError
from saip_mm.errors import exit_on_signals, one_line_errors, script_parser
from saip_mm.files import atomic_write, check_writable
from saip_mm.processes import add_processes_option, worker_pool
from saip_mm.training.config import add_options, training_images

FLAT = 'all pixels have nearly the same color'
MIN_RANGE = 8  # between the lowest and the highest value of a channel, 0–255
images: PeopleDataset  # and scenes, also in the worker processes


def parse_args() -> argparse.Namespace:
    parser = script_parser(__doc__)
    add = parser.add_argument
    add('source', help='config file, folder or list of images, or shards')
    add('--out', required=True, type=Path, help='list of bad images')
    add('--good', type=Path, help='list of all other images (of a folder or a list)')
    add_processes_option(parser)
    add_options(parser)
    return parser.parse_args()


def share(dataset: PeopleDataset) -> None:
    """Set the images that this process checks."""
    global images
    images = dataset


def reason(position: int) -> str | None:
    """Return why an image should not be used, or None."""
    info = images.get_data_info(position)
    try:
        image = images.load_image(info)
    except ImageError as error:
        return str(error)
    highest, lowest = image.max(0).max(0), image.min(0).min(0)
    if (highest - lowest).max() < MIN_RANGE:
        color = ', '.join(map(str, image[0, 0]))
        return f'{images.source(info)}: {FLAT}, ({color}); remove it'
    return None


def list_bad(out: Path, number: int, processes: int) -> dict[int, str]:
    """Check ``number`` images, then scenes; return reasons by position of bad ones."""
    bad, total = {}, len(images)
    partial = out.with_name(f'{out.name}.partial')
    partial.parent.mkdir(parents=True, exist_ok=True)
    kept = f'{partial} lists what was found so far; rerun the command to check all'
    with (
        exit_on_signals(kept),
        open(partial, 'w') as file,
        worker_pool(processes, share, images) as pool,
    ):
        found = pool.map(reason, range(total), chunksize=64)
        for position, why in enumerate(track(found, 'Images', total)):
            if why:
                bad[position] = why
                entry = dict(index=position)
                if position >= number:
                    entry = dict(scene=position - number)
                file.write(f'{json.dumps(entry | dict(reason=why))}\n')
                file.flush()
    os.replace(partial, out)
    return bad


def names_of(images: PeopleDataset) -> list[str]:
    """Return the names of all images, as they appear in a list."""
    infos = [images.get_data_info(i) for i in range(len(images))]
    if 'img_path' not in infos[0] or 'box' in infos[0]:
        raise ValueError('--good: a list can only name images that are files')
    names = [info['img_path'] for info in infos]
    if broken := [name for name in names if '\n' in name or '\r' in name]:
        raise ValueError(f'--good: a list cannot name {broken[0]!r}; rename this file')
    # Readers strip spaces and ignore lines that start with #.
    return [f'./{n}' if n[0] == '#' or n[0].isspace() else n for n in names]


def main() -> int:
    global images
    args = parse_args()
    images = training_images(args.source, args.cfg_options)
    names, number = names_of(images) if args.good else [], len(images)
    if images.scenes is not None:
        images = ConcatPeople([images, images.scenes])
    for path in filter(None, (args.out, args.good)):
        check_writable(path)
    bad = list_bad(args.out, number, args.processes)
    if args.good:
        good = [name for i, name in enumerate(names) if i not in bad]
        # Names need not be UTF-8: PersonImages decodes them the same way.
        with atomic_write(args.good) as partial:
            partial.write_bytes(b''.join(os.fsencode(f'{name}\n') for name in good))
    flat = sum(FLAT in why for why in bad.values())
    flat_too = f', and {flat} are of a single color' if flat else ''
    unusable = f'{len(bad) - flat} of {len(images)} images cannot be used'
    print(f'{unusable}{flat_too}: {args.out}')
    return 1 if bad else 0


if __name__ == '__main__':
    unchecked = 'no image has been checked yet; rerun the command'
    with one_line_errors(2), exit_on_signals(unchecked):
        sys.exit(main())
