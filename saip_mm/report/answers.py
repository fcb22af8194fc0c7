"""Pictures of what fine-tuned models answer."""

import textwrap

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..data.images import read_image

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
    found = neighbors[:count]
    texts = ['query', *(f'{each["similarity"]:.2f}' for each in found)]
    pictures = [Image.fromarray(read_image(each['image'])) for each in found]
    pictures = [*map(_scaled, (query, *pictures))]
    width = sum(each.width + 8 for each in pictures) - 8
    canvas = Image.new('RGB', (width, HEIGHT + LINE), 'white')
    draw, font, left = ImageDraw.Draw(canvas), ImageFont.load_default(LINE * 0.7), 0
    for picture, text in zip(pictures, texts, strict=True):
        canvas.paste(picture, (left, 0))
        draw.text((left + 4, HEIGHT + 2), text, 'black', font)
        left += picture.width + 8
    return canvas


def _scaled(picture: Image.Image) -> Image.Image:
    width = max(1, round(picture.width * HEIGHT / picture.height))
    return picture.resize((width, HEIGHT))
