"""Pack training images into a few large files.

    python tools/pack_shards.py data/people data/people_shards
    python tools/pack_shards.py configs/pretrain/saip_vit-tiny.py data/people_shards

Millions of small files are slow on every file system. To train on the shards:

    python tools/train.py CONFIG --cfg-options \\
        train_dataloader.dataset.type=ShardedImages \\
        train_dataloader.dataset.data_root=data/people_shards

Training is the same: image files are packed unchanged and in order. Unusable images are
skipped and listed in OUT/bad_images.jsonl. Rerun an interrupted command to continue
(exit status 130 after Ctrl-C, 143 after SIGTERM).
"""

import argparse
from pathlib import Path

from saip_mm.data.packing import BAD, pack_shards
from saip_mm.errors import exit_on_signals, one_line_errors, script_parser
from saip_mm.processes import add_processes_option, count
from saip_mm.training.config import add_options, training_images


def parse_args() -> argparse.Namespace:
    parser = script_parser(__doc__)
    add = parser.add_argument
    add('source', help='config file, folder or list of images, or shards')
    add('out', help='folder for the shards')
    add(
        '--images-per-shard',
        type=count,
        default=10_000,
        help='default: 10,000, or about 100 MB of person images',
    )
    add_processes_option(parser)
    add_options(parser)
    args = parser.parse_args()
    if '://' in args.out:
        parser.error(f'{args.out}: give a local folder, and upload it')
    return args


def main() -> None:
    args = parse_args()
    packed, bad = pack_shards(
        training_images(args.source, args.cfg_options),
        Path(args.out),
        args.images_per_shard,
        args.processes,
    )
    print(f'{packed} images packed into {args.out}')
    if bad:
        print(
            f'{bad} images cannot be used and were skipped: {args.out}/{BAD}. To '
            f'include them, repair them, remove {args.out} and pack again'
        )


if __name__ == '__main__':
    kept = 'all finished shards are kept; rerun the command to continue'
    with one_line_errors(), exit_on_signals(kept):
        main()
