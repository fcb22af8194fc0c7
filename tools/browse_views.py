"""Draw the views of training samples: `python tools/browse_views.py CONFIG`.

One row per sample: the source image with the boxes of the anchor (green) and roi (red),
all views, the scene with the pasted inst (green) and roi (red), and their tokens. For
HAP: the view, its limbs, and what two masks keep.
"""

import argparse
from itertools import islice
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import DATASETS, TRANSFORMS, init_default_scope
from PIL import Image, ImageDraw, ImageFont
from rich.progress import track

from saip_mm.data.sampler import StatelessSampler
from saip_mm.errors import one_line_errors
from saip_mm.files import check_writable, whole_file
from saip_mm.report.pictures import Picture, masked_row, view_row
from saip_mm.training.config import add_options, load_config

GAP, LINE = 8, 18  # pixels: between pictures, height of a line of text
FONT = ImageFont.load_default(size=13)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--num', type=int, default=8, help='number of samples')
    parser.add_argument('--out', default='views.png', help='image file to write')
    parser.add_argument('--seed', type=int, default=0, help='seed of the samples')
    add_options(parser)
    args = parser.parse_args()
    if args.num < 1:
        parser.error(f'--num {args.num}: give 1 or more')
    return args


def draw_row(title: str, pictures: list[Picture]) -> Image.Image:
    """Draw all views of a sample side by side, with labels."""
    widths = [
        max(each.image.width, int(FONT.getlength(each.caption))) for each in pictures
    ]
    height = 2 * LINE + max(each.image.height for each in pictures) + GAP
    row = Image.new('RGB', (sum(widths) + GAP * (len(widths) + 1), height), 'white')
    pen = ImageDraw.Draw(row)
    pen.text((GAP, 0), title, fill='black', font=FONT)
    left = GAP
    for each, width in zip(pictures, widths, strict=True):
        pen.text((left, LINE), each.caption, fill='black', font=FONT)
        row.paste(each.image, (left, 2 * LINE), each.image.convert('RGBA'))
        left += width + GAP
    return row


def draw_samples(cfg: Config, num: int, seed: int) -> tuple[Image.Image, str]:
    """Draw a row for each of ``num`` samples; also return "M of N samples"."""
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    dataset_cfg = dict(cfg.get('train_dataloader') or {}).get('dataset') or {}
    if not dataset_cfg.get('pipeline'):
        raise ValueError(
            f'{cfg.filename}: has no train_dataloader.dataset.pipeline of views; use '
            'a pretraining config'
        )
    apply = TRANSFORMS.build(dataset_cfg.pipeline.pop())
    dataset = DATASETS.build(dataset_cfg)
    keys = list(islice(StatelessSampler(dataset, seed), num))
    rows = []
    for key in track(keys, 'Drawing samples', transient=True):
        results = dataset[key]
        shown = masked_row if 'view' in results else view_row
        rows.append(draw_row(*shown(results | apply(results))))
    width = max(row.width for row in rows)
    canvas = Image.new('RGB', (width, sum(row.height for row in rows)), 'white')
    top = 0
    for row in rows:
        canvas.paste(row, (0, top))
        top += row.height
    return canvas, f'{len(rows)} of {len(dataset)} samples'


def main() -> None:
    args = parse_args()
    Image.init()
    kind = Image.registered_extensions().get(Path(args.out).suffix.lower())
    if kind not in Image.SAVE:
        raise ValueError(f'--out {args.out}: name an image file, such as views.png')
    check_writable(args.out)
    cfg = load_config(args.config, args.cfg_options)
    canvas, count = draw_samples(cfg, args.num, args.seed)
    with whole_file(args.out) as partial:
        canvas.save(partial, kind)
    print(f'Wrote {args.out}: {count}')


if __name__ == '__main__':
    with one_line_errors():
        main()
