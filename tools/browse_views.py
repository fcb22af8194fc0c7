"""Draw the views of some training samples: `python tools/browse_views.py CONFIG`.

One row per sample: the source image with the boxes of the anchor (green) and roi (red),
all views, the scene with the pasted inst (green) and roi (red), and the tokens that
count as theirs.
"""

import argparse
from itertools import islice

import numpy as np
from mmengine.config import DictAction
from mmengine.registry import DATASETS, TRANSFORMS, init_default_scope
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from saip_mm.datasets.sampler import StatelessSampler
from saip_mm.datasets.views import Crop
from saip_mm.engine.config import load_config

INST, ROI = (0, 200, 80), (240, 40, 40)
GAP, LINE = 8, 18  # pixels between panels, and of a line of text
FONT = ImageFont.load_default(size=13)

Panel = tuple[str, Image.Image]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--num', type=int, default=8, help='number of samples')
    parser.add_argument('--out', default='views.png', help='image file to write')
    parser.add_argument('--seed', type=int, default=0, help='seed of the samples')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        help='settings that replace those of the config',
    )
    return parser.parse_args()


def picture(image: Tensor) -> Image.Image:
    """uint8 [3, h, w] -> image."""
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def outline(
    image: Image.Image, crop: Crop, colour: tuple[int, int, int], zoom: float = 1
) -> None:
    """Draw a rectangle of the image before it was enlarged by ``zoom``."""
    left, top = round(crop.left * zoom), round(crop.top * zoom)
    right = round((crop.left + crop.width) * zoom) - 1
    bottom = round((crop.top + crop.height) * zoom) - 1
    box = (left, top, max(left, right), max(top, bottom))
    ImageDraw.Draw(image).rectangle(box, outline=colour, width=2)


def grid(images: list[Image.Image], rows: int = 2) -> Image.Image:
    """Images of one size in a grid, filled column by column."""
    width, height = (side + GAP // 2 for side in images[0].size)
    columns = -(-len(images) // rows)
    canvas = Image.new('RGB', (columns * width, rows * height), 'white')
    for i, image in enumerate(images):
        canvas.paste(image, (i // rows * width, i % rows * height))
    return canvas


def tint(image: Image.Image, masks: Tensor) -> Image.Image:
    """Colour the tokens of inst and roi. masks: bool [2, h, w]."""
    pixels = np.array(image)
    side = image.height // masks.shape[-2]
    for mask, colour in zip(masks, (INST, ROI), strict=True):
        inside = np.kron(mask.numpy(), np.ones((side, side), bool))
        pixels[inside] = (pixels[inside] + np.array(colour)) // 2
    return Image.fromarray(pixels)


def make_panels(results: dict, inputs: dict[str, Tensor]) -> list[Panel]:
    """Labelled images of one sample, from left to right."""
    views, local_size = results['views'], results['views'].roi.size
    source = Image.fromarray(results['image'])
    zoom = inputs['globals'].shape[-2] / source.height
    source = source.resize([max(1, round(side * zoom)) for side in source.size])
    outline(source, views.globals[0].crop, INST, zoom)
    outline(source, views.roi.crop, ROI, zoom)
    scene = picture(inputs['scene'])
    tokens = tint(scene, inputs['scene_masks'])
    for (top, left), colour in zip(views.places, (INST, ROI), strict=True):
        outline(scene, Crop(top, left, *local_size), colour)
    return [
        ('source', source),
        ('global_0 (anchor)', picture(inputs['globals'][0])),
        ('global_1', picture(inputs['globals'][1])),
        ('locals', grid([picture(image) for image in inputs['locals']])),
        ('roi, inst', grid([picture(inputs[name]) for name in ('roi', 'inst')])),
        ('scene', scene),
        ('scene tokens', tokens),
    ]


def describe(results: dict) -> str:
    """The name of the sample and what its anchor went through."""
    view = results['views'].globals[0]
    steps = [f'{name} {value:.2f}' for name, value in view.colours.jitter]
    steps += ['grey'] * view.colours.grey + ['flip'] * view.flip
    steps += [f'blur {view.blur:.1f}'] if view.blur else []
    return f'{results["source"]}   anchor: {", ".join(steps) or "no change"}'


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
        row.paste(image, (left, 2 * LINE))
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
