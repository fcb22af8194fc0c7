"""Pack the images of a training into few large files.

    python tools/pack_shards.py data/people data/people_shards
    python tools/pack_shards.py configs/pretrain/saip_vit-tiny.py data/people_shards

Millions of small files are slow on every file system. Shards are read with

    python tools/train.py CONFIG --cfg-options \\
        train_dataloader.dataset.type=ShardedImages \\
        train_dataloader.dataset.data_root=data/people_shards

to the same training: image files are kept as they are, in their order. Images that
cannot be used are left out, and listed in OUT/bad_images.jsonl. After an interruption
(exit status 130 after Ctrl-C, 143 after SIGTERM) rerun the command to continue.
"""

import argparse
import os
from pathlib import Path

from rich.progress import track

from saip_mm.data.packing import BAD, pack_shards
from saip_mm.errors import one_line_errors, stoppable
from saip_mm.training.config import add_options, training_images


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('source', help='config file; folder or list of images; or shards')
    add('out', type=Path, help='folder of the shards')
    add(
        '--images-per-shard',
        type=int,
        default=10_000,
        help='10,000 by default: some 100 MB of person images',
    )
    add('--processes', type=int, default=os.cpu_count(), help='default: one per core')
    add_options(parser)
    args = parser.parse_args()
    if args.processes < 1 or args.images_per_shard < 1:
        parser.error('--processes and --images-per-shard should be at least 1')
    return args


def main() -> None:
    args = parse_args()
    packed, bad = pack_shards(
        training_images(args.source, args.cfg_options),
        args.out,
        args.images_per_shard,
        args.processes,
        lambda parts, total: track(parts, 'Shards', total),
    )
    print(f'{packed} images packed into {args.out}')
    if bad:
        print(
            f'{bad} images cannot be used and were left out: {args.out / BAD}. To have '
            f'them too, mend them, remove {args.out} and pack again'
        )


if __name__ == '__main__':
    kept = 'all whole shards are kept; rerun the command to continue'
    with one_line_errors(), stoppable(kept):
        main()
