"""Pictures of what fine-tuned models answer."""

import textwrap
from collections.abc import Sequence

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps
from torch import Tensor

from ..data.folders import some
from ..data.images import read_image, to_tensor
from ..data.views import Crop
from .pictures import INST, LETTERS, Picture, draw_row, enlarge, heat, outline

HEIGHT, LINE = 320, 20  # of pictures and of their text, in pixels
FONT = ImageFont.truetype(LETTERS, LINE * 0.6)
SCENES, NEIGHBORS, PARTS = 4, 6, 16  # shown at most
SHOWN = 0.3  # MMDetection and MMPose draw what has higher scores


def draw_attributes(image: np.ndarray, scores: dict[str, float]) -> Image.Image:
    """An image, uint8 [h, w, 3], beside bars of its highest scores."""
    picture = _scaled(image)
    canvas, left = _beside(picture, 300)
    draw = ImageDraw.Draw(canvas)
    for row, (name, score) in enumerate([*scores.items()][: HEIGHT // LINE]):
        top = row * LINE
        draw.rectangle((left, top + 2, left + 284 * score, top + LINE - 2), '#cfe3ff')
        draw.text((left + 4, top + 2), f'{score:.2f}  {name}', 'black', FONT)
    return canvas


def draw_parsing(
    image: np.ndarray, labels: np.ndarray, names: Sequence[str], shares: dict
) -> Image.Image:
    """An image beside a map of its labels, and their colors by share of the image.

    Args:
        image: uint8 [h, w, 3].
        labels: [h, w], indices of ``names``.
        names: Names of all labels.
        shares: Shares of the image by name, largest first.
    """
    picture = _scaled(image)
    palette = (255 * np.array(matplotlib.colormaps['tab20'].colors)).astype(np.uint8)
    colors = {name: palette[i % len(palette)] for i, name in enumerate(shares)}
    black = np.zeros(3, np.uint8)
    table = np.stack([colors.get(name, black) for name in names])
    areas = Image.fromarray(table[labels]).resize(picture.size, Image.NEAREST)
    canvas, left = _beside(picture, picture.width + 208)
    canvas.paste(Image.blend(picture, areas, 0.7), (picture.width, 0))
    draw, left = ImageDraw.Draw(canvas), left + picture.width
    shown = [(name, share) for name, share in shares.items() if share >= 0.005]
    for row, (name, share) in enumerate(shown[: HEIGHT // LINE]):
        top = row * LINE
        draw.rectangle((left, top + 3, left + 14, top + 17), tuple(colors[name]))
        draw.text((left + 20, top + 2), f'{share:.0%}  {name}', 'black', FONT)
    return canvas


def write_beside(picture: Image.Image, lines: list[str]) -> Image.Image:
    """A picture with text to its right."""
    lines = [textwrap.fill(line, 60, subsequent_indent='      ') for line in lines]
    text = '\n'.join(lines)
    canvas, left = _beside(picture, 480, LINE * (text.count('\n') + 1) + 8)
    ImageDraw.Draw(canvas).multiline_text((left, 4), text, 'black', FONT)
    return canvas


def draw_scenes(
    query: np.ndarray, scenes: list[dict], maps: dict[str, Tensor]
) -> Image.Image:
    """A query, and where it is in the scenes that most likely contain it.

    Args:
        query: uint8 [h, w, 3].
        scenes: Dicts with ``image``, ``score`` and ``bbox``.
        maps: Probabilities [h, w] by image.
    """
    row = [Picture(Image.fromarray(query), 'query')]
    for each in scenes[:SCENES]:
        scene = read_image(each['image'])
        picture = heat(to_tensor(scene), maps[each['image']], 0, 1)
        if each['bbox']:
            left, top, right, bottom = map(round, each['bbox'])
            outline(picture, Crop(top, left, bottom - top, right - left), INST)
        row.append(Picture(picture, f'{each["score"]:.2f}'))
    return draw_row(row, height=HEIGHT)


def note_if_empty(answer: list[dict]) -> str | None:
    """What to write if MMDetection or MMPose draws nothing of an answer."""
    for each in answer:
        points = each.get('keypoints', {}).values()
        if any(score > SHOWN for *_, score in points) or each.get('score', 0) > SHOWN:
            return None
    kind = 'keypoint' if answer and 'keypoints' in answer[0] else 'box'
    return f'no {kind} has a score above {SHOWN}'


def write_sentence(sentence: str) -> Image.Image:
    """A sentence on a white background."""
    canvas = Image.new('RGB', (220, HEIGHT), 'white')
    text, font = textwrap.fill(sentence, 26), ImageFont.truetype(LETTERS, LINE * 0.7)
    ImageDraw.Draw(canvas).multiline_text((4, 4), text, 'black', font)
    return canvas


def draw_neighbors(query: Image.Image, neighbors: list[dict]) -> Image.Image:
    """A query and the images most similar to it, with similarities."""
    row = [Picture(query, 'query')]
    for each in neighbors[:NEIGHBORS]:
        image = Image.fromarray(read_image(each['image']))
        row.append(Picture(image, f'{each["similarity"]:.2f}'))
    return draw_row(row, height=HEIGHT)


def _scaled(image: np.ndarray) -> Image.Image:
    width = max(1, round(image.shape[1] * HEIGHT / image.shape[0]))
    return Image.fromarray(image).resize((width, HEIGHT))


def _beside(
    picture: Image.Image, width: int, height: int = 0
) -> tuple[Image.Image, int]:
    """A picture with white space to its right, and where to write there."""
    border = (0, 0, width, max(0, height - picture.height))
    return ImageOps.expand(picture, border, 'white'), picture.width + 8


def enlarge_sample(image: np.ndarray, sample: object) -> tuple[np.ndarray, object]:
    """A small image and what was found in it, large enough to draw on."""
    height, width = image.shape[:2]
    factor = max(1, -(-HEIGHT // max(height, width)))
    sample = sample.clone()  # shares the instances
    found = sample.pred_instances = sample.pred_instances.clone()
    for name in {'keypoints', 'bboxes'} & {*found.keys()}:
        found[name] = found[name] * factor
    if 'masks' in found:
        found.masks = enlarge(found.masks, factor)
    large = Image.fromarray(image).resize((factor * width, factor * height))
    return np.array(large), sample


def describe_parts(answer: list[dict]) -> list[str]:
    """Lines about the first parts that are drawn."""
    lines = []
    for number, part in enumerate(answer[:PARTS], 1):
        if part['score'] > SHOWN:
            label = f'{number}  {part["label"]} {part["score"]:.2f}'
            lines.append(': '.join(filter(None, [label, some([*part['attributes']])])))
    return lines or [f'no part has a score above {SHOWN}']
