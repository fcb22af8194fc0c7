"""What happened to one training sample, as labelled pictures."""

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from ..data.views import Crop

INST, ROI = (0, 200, 80), (240, 40, 40)
GAP = 8  # pixels between pictures

Panel = tuple[str, Image.Image]


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
    """Images of one size in a grid, filled column by column, clear in between."""
    gap = GAP // 2
    width, height = (side + gap for side in images[0].size)
    columns = -(-len(images) // rows)
    canvas = Image.new('RGBA', (columns * width - gap, rows * height - gap))
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
    steps = [f'{name} {value:.2f}' for name, value in view.colors.jitter]
    steps += ['gray'] * view.colors.gray + ['flip'] * view.flip
    steps += [f'blur {view.blur:.1f}'] if view.blur else []
    return f'{results["source"]}   anchor: {", ".join(steps) or "no change"}'
