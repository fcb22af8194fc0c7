"""Pictures of what fine-tuned models answer."""

import textwrap
from collections.abc import Sequence

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..data.images import read_image, to_tensor
from ..data.views import Crop
from .pictures import INST, Picture, draw_row, heat, outline

HEIGHT, LINE = 320, 20  # of pictures and of their text, in pixels


def draw_attributes(image: np.ndarray, scores: dict[str, float]) -> Image.Image:
    """An image, uint8 [h, w, 3], beside bars of its highest scores."""
    picture = _scaled(Image.fromarray(image))
    shown = list(scores.items())[: HEIGHT // LINE]
    canvas = Image.new('RGB', (picture.width + 300, HEIGHT), 'white')
    canvas.paste(picture)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(LINE * 0.7)
    for row, (name, score) in enumerate(shown):
        left, top = picture.width + 8, row * LINE
        draw.rectangle((left, top + 2, left + 284 * score, top + LINE - 2), '#cfe3ff')
        draw.text((left + 4, top + 2), f'{score:.2f}  {name}', 'black', font)
    return canvas


def draw_parsing(
    image: np.ndarray, labels: np.ndarray, names: Sequence[str], shares: dict
) -> Image.Image:
    """An image beside a map of its labels, and their colors by share of the image.

    Args:
        image: uint8 [h, w, 3].
        labels: [h, w].
        names: Of all labels.
        shares: By name, largest first.
    """
    picture = _scaled(Image.fromarray(image))
    palette = (255 * np.array(matplotlib.colormaps['tab20'].colors)).astype(np.uint8)
    colors = {name: palette[i % len(palette)] for i, name in enumerate(shares)}
    black = np.zeros(3, np.uint8)
    table = np.stack([colors.get(name, black) for name in names])
    areas = Image.fromarray(table[labels]).resize(picture.size, Image.NEAREST)
    canvas = Image.new('RGB', (2 * picture.width + 208, HEIGHT), 'white')
    canvas.paste(picture)
    canvas.paste(Image.blend(picture, areas, 0.7), (picture.width, 0))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(LINE * 0.7)
    left = 2 * picture.width + 8
    shown = [(name, share) for name, share in shares.items() if share >= 0.005]
    for row, (name, share) in enumerate(shown[: HEIGHT // LINE]):
        top = row * LINE
        draw.rectangle((left, top + 3, left + 14, top + 17), tuple(colors[name]))
        draw.text((left + 20, top + 2), f'{share:.0%}  {name}', 'black', font)
    return canvas


def write_beside(picture: Image.Image, lines: list[str]) -> Image.Image:
    """A picture with text to its right."""
    indent = dict(subsequent_indent='      ')
    lines = [row for line in lines for row in textwrap.wrap(line, 60, **indent)]
    height = max(picture.height, LINE * len(lines) + 8)
    canvas = Image.new('RGB', (picture.width + 480, height), 'white')
    canvas.paste(picture)
    font = ImageFont.load_default(LINE * 0.7)
    place = (picture.width + 8, 4)
    ImageDraw.Draw(canvas).multiline_text(place, '\n'.join(lines), 'black', font)
    return canvas


def draw_scenes(
    query: np.ndarray, scenes: list[dict], maps: dict[str, Tensor], count: int = 4
) -> Image.Image:
    """A query, and where it is in the scenes that contain it most likely.

    Args:
        query: uint8 [h, w, 3].
        scenes: Dicts with ``image``, ``score`` and ``bbox``.
        maps: Probabilities [h, w] by image.
        count: Most scenes to show.
    """
    row = [Picture(Image.fromarray(query), 'query')]
    for each in scenes[:count]:
        scene = read_image(each['image'])
        picture = heat(to_tensor(scene), maps[each['image']], 0, 1)
        if each['bbox']:
            left, top, right, bottom = map(round, each['bbox'])
            outline(picture, Crop(top, left, bottom - top, right - left), INST)
        row.append(Picture(picture, f'{each["score"]:.2f}'))
    return draw_row(row, height=HEIGHT)


def write_sentence(sentence: str) -> Image.Image:
    """A sentence on white ground."""
    canvas = Image.new('RGB', (220, HEIGHT), 'white')
    text, font = textwrap.fill(sentence, 26), ImageFont.load_default(LINE * 0.8)
    ImageDraw.Draw(canvas).multiline_text((4, 4), text, 'black', font)
    return canvas


def draw_neighbors(
    query: Image.Image, neighbors: list[dict], count: int = 6
) -> Image.Image:
    """A query and the images most similar to it, with similarities."""
    row = [Picture(query, 'query')]
    for each in neighbors[:count]:
        image = Image.fromarray(read_image(each['image']))
        row.append(Picture(image, f'{each["similarity"]:.2f}'))
    return draw_row(row, height=HEIGHT)


def _scaled(picture: Image.Image) -> Image.Image:
    width = max(1, round(picture.width * HEIGHT / picture.height))
    return picture.resize((width, HEIGHT))


def enlarge(image: np.ndarray, sample: object) -> tuple[np.ndarray, object]:
    """A small image and what was found in it, large enough to draw on."""
    height, width = image.shape[:2]
    factor = max(1, -(-HEIGHT // max(height, width)))
    sample = sample.clone()  # which has the same instances
    found = sample.pred_instances = sample.pred_instances.clone()
    for name in {'keypoints', 'bboxes'} & {*found.keys()}:
        found[name] = found[name] * factor
    if 'masks' in found:
        found.masks = found.masks.repeat_interleave(factor, 1)
        found.masks = found.masks.repeat_interleave(factor, 2)
    large = Image.fromarray(image).resize((factor * width, factor * height))
    return np.array(large), sample


SHOWN = 0.3  # boxes with scores above it are drawn by MMDetection


def describe_parts(answer: list[dict], count: int = 16, names: int = 8) -> list[str]:
    """Lines about the first parts that are drawn."""
    lines = []
    for number, part in enumerate(answer[:count], 1):
        if part['score'] > SHOWN:
            words = [*part['attributes']]
            words[names:] = ['…'] * (len(words) > names)
            label = f'{number}  {part["label"]} {part["score"]:.2f}'
            lines.append(': '.join(filter(None, [label, ', '.join(words)])))
    return lines or [f'no part has a score above {SHOWN}']
