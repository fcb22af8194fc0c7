"""Draw the views of training samples: `python tools/browse_views.py CONFIG`.

One row per sample: the source image with the boxes of the anchor (green) and roi (red),
all views, the scene with the pasted inst (green) and roi (red), and their tokens. For
HAP, a row shows the view, its limbs, and what the two masks keep.
"""

import argparse
import sys
from itertools import islice
from pathlib import Path

from mmengine.registry import DATASETS, init_default_scope
from PIL import Image
from rich.progress import track

from saip_mm.data.concat import holds_people
from saip_mm.data.configs import pipeline_of
from saip_mm.data.images import ImageError
from saip_mm.data.sampler import StatelessSampler
from saip_mm.errors import one_line_errors, script_parser
from saip_mm.files import atomic_write, check_writable
from saip_mm.models.device_views import pop_views
from saip_mm.processes import count
from saip_mm.report.pictures import draw_row, masked_row, stack, view_row
from saip_mm.training.config import add_options, load_config


def parse_args() -> argparse.Namespace:
    parser = script_parser(__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--num', type=count, default=8, help='number of samples')
    parser.add_argument('--out', default='views.png', help='image file to write')
    parser.add_argument('--seed', type=int, default=0, help='seed of the samples')
    add_options(parser)
    args = parser.parse_args()
    kind = Image.registered_extensions().get(Path(args.out).suffix.lower())
    if kind not in Image.SAVE:
        parser.error(f'--out {args.out}: name an image file, such as views.png')
    return args


def main() -> None:
    args = parse_args()
    check_writable(args.out)
    cfg = load_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    dataset_cfg = dict(cfg.get('train_dataloader') or {}).get('dataset') or {}
    no_views = (
        f'{args.config}: has no train_dataloader.dataset.pipeline of views; use a '
        'config of SAIP or HAP'
    )
    if not (holds_people(dataset_cfg) and pipeline_of(dataset_cfg)):
        raise ValueError(no_views)
    apply = pop_views(dataset_cfg)
    dataset = DATASETS.build(dataset_cfg)
    rows = []
    num = min(args.num, len(dataset))
    keys = islice(StatelessSampler(dataset, args.seed), len(dataset))
    for key in track(keys, 'Drawing samples', num, transient=True):
        if len(rows) == num:
            break
        try:
            results = dataset[key]
        except ImageError as error:
            print(f'Skipped: {error}', file=sys.stderr)
            continue
        if not results.keys() & {'view', 'views'}:
            raise ValueError(no_views)
        shown = masked_row if 'view' in results else view_row
        title, pictures = shown(results | apply(results))
        rows.append(draw_row(pictures, title, height=None))
    if not rows:
        raise ValueError(f'{args.config}: no image can be used, see above')
    with atomic_write(args.out) as partial:
        kind = Image.registered_extensions()[Path(args.out).suffix.lower()]
        stack(rows).save(partial, kind)
    print(f'Wrote {args.out}: {len(rows)} of {len(dataset)} samples')


if __name__ == '__main__':
    with one_line_errors():
        main()
