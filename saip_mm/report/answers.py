"""Pictures of what fine-tuned models answer."""

import textwrap

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..data.images import read_image
from .pictures import Picture, draw_row

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
