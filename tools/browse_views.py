"""Draw the views of some training samples: `python tools/browse_views.py CONFIG`.

One row per sample: the source image with the boxes of the anchor (green) and roi (red),
all views, the scene with the pasted inst (green) and roi (red), and the tokens that
count as theirs.
"""

import argparse
from itertools import islice

from mmengine.registry import DATASETS, TRANSFORMS, init_default_scope
from PIL import Image, ImageDraw, ImageFont

from saip_mm.datasets.sampler import StatelessSampler
from saip_mm.engine.config import add_options, load_config
from saip_mm.visualization.panels import GAP, Panel, describe, make_panels

LINE = 18  # pixels of a line of text
FONT = ImageFont.load_default(size=13)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--num', type=int, default=8, help='number of samples')
    parser.add_argument('--out', default='views.png', help='image file to write')
    parser.add_argument('--seed', type=int, default=0, help='seed of the samples')
    add_options(parser)
    return parser.parse_args()


def draw_row(title: str, panels: list[Panel]) -> Image.Image:
    """All panels of a sample side by side, with labels."""
    widths = [max(image.width, int(FONT.getlength(text))) for text, image in panels]
    height = 2 * LINE + max(image.height for _, image in panels) + GAP
    row = Image.new('RGB', (sum(widths) + GAP * (len(widths) + 1), height), 'white')
    pen = ImageDraw.Draw(row)
    pen.text((GAP, 0), title, fill='black', font=FONT)
    left = GAP
    for (text, image), width in zip(panels, widths, strict=True):
        pen.text((left, LINE), text, fill='black', font=FONT)
        row.paste(image, (left, 2 * LINE), image.convert('RGBA'))
        left += width + GAP
    return row


def main() -> None:
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    init_default_scope(cfg.default_scope)
    dataset_cfg = cfg.train_dataloader.dataset
    apply = TRANSFORMS.build(dataset_cfg.pipeline.pop())
    dataset = DATASETS.build(dataset_cfg)
    rows = []
    for key in islice(StatelessSampler(dataset, args.seed), args.num):
        results = dataset[key]
        panels = make_panels(results, apply(results)['inputs'])
        rows.append(draw_row(describe(results), panels))
    width = max(row.width for row in rows)
    canvas = Image.new('RGB', (width, sum(row.height for row in rows)), 'white')
    top = 0
    for row in rows:
        canvas.paste(row, (0, top))
        top += row.height
    canvas.save(args.out)
    print(f'Wrote {args.out}: {len(rows)} of {len(dataset)} samples')


if __name__ == '__main__':
    main()
