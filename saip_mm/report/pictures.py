"""Pictures of samples, in rows with captions."""

import math
from itertools import accumulate, chain
from typing import NamedTuple

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.transforms.functional import to_pil_image as to_image

from ..data.masked_view import PARTS
from ..data.views import Crop, Views

INST, ROI = (0, 200, 80), (240, 40, 40)  # colors of the whole person and of a part
GAP, TEXT = 8, 18  # pixels
# DejaVu Sans, a part of matplotlib: Latin, Greek and Cyrillic.
LETTERS = f'{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf'
FONT = ImageFont.truetype(LETTERS, 11)


class Picture(NamedTuple):
    """An image and the text below it."""

    image: Image.Image
    caption: str
    kind: str = ''  # CSS class


def outline(image: Image.Image, crop: Crop, color: tuple[int, int, int]) -> None:
    """Draw a rectangle with a line width proportional to the image."""
    right, bottom = crop.left + crop.width - 1, crop.top + crop.height - 1
    box, width = (crop.left, crop.top, right, bottom), max(2, image.height // 64)
    ImageDraw.Draw(image).rectangle(box, outline=color, width=width)


def heat(image: Tensor, values: Tensor, low: float, high: float) -> Image.Image:
    """Blend a color map, from ``low`` to ``high``, into a grayscale image.

    Args:
        image: uint8 [3, H, W].
        values: float [h, w], enlarged bilinearly.
    """
    scaled = (values[None, None].float() - low) / max(high - low, 1e-12)
    scaled = interpolate(scaled, tuple(image.shape[1:]), mode='bilinear')[0, 0]
    colors = 255 * matplotlib.colormaps['inferno'](scaled.clamp(0, 1).numpy())[..., :3]
    gray = np.asarray(to_image(image).convert('L'))[..., None]
    return Image.fromarray((0.6 * colors + 0.4 * gray).round().astype(np.uint8))


def view_row(sample: dict) -> tuple[str, list[Picture]]:
    """Augmentations of a sample's anchor, and all views of :meth:`People.samples`."""
    views, inputs = sample['views'], sample['inputs']
    source, first = Image.fromarray(sample['image']), views.globals[0]
    outline(source, first.crop, INST)
    if views.roi:
        outline(source, views.roi.crop, ROI)
    height = inputs['globals'].shape[-2]
    source = source.resize((max(1, height * source.width // source.height), height))
    names = ('anchor', 'global_1')[-len(views.globals) :]
    row = [Picture(source, 'source')]
    row += map(Picture, map(to_image, inputs['globals']), names)
    if views.roi:
        row.append(Picture(_grid(list(inputs['locals'])), 'locals'))
        row.append(Picture(_grid([inputs['roi'], inputs['inst']]), 'roi, inst'))
    if views.scene:
        row += _scene_pictures(views, inputs)
    steps = [f'{name} {value:.2f}' for name, value in first.colors.jitter]
    steps += ['gray'] * first.colors.gray + ['flip'] * first.flip
    steps += [f'blur {first.blur:.1f}'] if first.blur else []
    changes = ', '.join(steps) or 'no change'
    return f'{sample["source"]}; {names[0]}: {changes}', row


def _scene_pictures(views: Views, inputs: dict[str, Tensor]) -> list[Picture]:
    """The scene with the outlines of inst and roi, and their tokens."""
    scene, tokens = to_image(inputs['scene']), inputs['scene'].clone()
    side = tokens.shape[-1] // inputs['scene_masks'].shape[-1]
    masks = enlarge(inputs['scene_masks'].bool(), side)
    for mask, place, color in zip(masks, views.places, (INST, ROI), strict=True):
        half = torch.tensor(color, dtype=torch.uint8)[:, None] // 2
        tokens[:, mask] = tokens[:, mask] // 2 + half
        outline(scene, Crop(*place, *views.roi.size), color)
    return [Picture(scene, 'scene'), Picture(to_image(tokens), 'scene tokens')]


def masked_row(sample: dict) -> tuple[str, list[Picture]]:
    """A view for HAP with the limbs that guide its masks, and what they keep.

    The sample has the ``view`` of ``DrawMaskedView``, ``inputs`` of ``ApplyMaskedView``
    and ``source``.
    """
    view, image = sample['view'], sample['inputs']['image']
    limbs, side = to_image(image), image.shape[1] // view.masks.shape[1]
    points = () if view.keypoints is None else view.keypoints
    for first, last in chain(*PARTS.values()) if len(points) else ():
        ends = points[[first, last]]
        if (ends[:, 2] > 0).all():
            line = ends[:, :2].ravel().tolist()
            ImageDraw.Draw(limbs).line(line, fill=INST, width=max(2, side // 8))
    row = [Picture(to_image(image), 'view'), Picture(limbs, 'limbs')]
    removed = enlarge(torch.from_numpy(view.masks), side)
    for number, mask in enumerate(removed):
        kept = to_image(image.masked_fill(mask, 128))
        share = view.masks[number].mean()
        row.append(Picture(kept, f'mask {number}: {share:.0%}'))
    return sample['source'], row


def enlarge(masks: Tensor, side: int) -> Tensor:
    """Repeat each element of masks [N, h, w]: [N, h·side, w·side]."""
    return masks.repeat_interleave(side, 1).repeat_interleave(side, 2)


def _grid(images: list[Tensor]) -> Image.Image:
    """Images of one size in two rows, column by column, with transparent gaps."""
    rows, gap = 2, 4
    height, width = (side + gap for side in images[0].shape[1:])
    columns = -(-len(images) // rows)
    canvas = Image.new('RGBA', (columns * width - gap, rows * height - gap))
    for i, image in enumerate(images):
        canvas.paste(to_image(image), (i // rows * width, i % rows * height))
    return canvas


def draw_row(
    pictures: list[Picture], title: str = '', height: int | None = 160
) -> Image.Image:
    """Pictures side by side, resized to a height in pixels, above their captions."""
    images = [each.image.convert('RGBA') for each in pictures]
    if height:
        widths = [max(1, height * image.width // image.height) for image in images]
        images = [x.resize((w, height)) for x, w in zip(images, widths, strict=True)]
    pairs = zip(images, pictures, strict=True)
    widths = [max(x.width, math.ceil(FONT.getlength(y.caption))) for x, y in pairs]
    lefts = list(accumulate((each + GAP for each in widths), initial=0))
    top = TEXT if title else 0
    bottom = top + max(each.height for each in images)
    width = max(lefts[-1], math.ceil(FONT.getlength(title)))
    row = Image.new('RGB', (width, bottom + TEXT + GAP), 'white')
    pen = ImageDraw.Draw(row)
    pen.font = FONT
    pen.text((0, 0), title, fill='black')
    for picture, image, left in zip(pictures, images, lefts, strict=False):
        row.paste(image, (left, top), image)
        pen.text((left, bottom + 3), picture.caption, fill='black')
    return row


def stack(rows: list[Image.Image]) -> Image.Image:
    """Rows, one below the other."""
    tops = list(accumulate((row.height for row in rows), initial=0))
    canvas = Image.new('RGB', (max(row.width for row in rows), tops[-1]), 'white')
    for row, top in zip(rows, tops, strict=False):
        canvas.paste(row, (0, top))
    return canvas
