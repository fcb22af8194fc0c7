"""Images of rows of pictures: views of samples, or an overview of a training."""

from itertools import accumulate
from pathlib import Path

from PIL import ImageDraw
from PIL.Image import Image
from PIL.Image import new as new_image

from ..files import whole_file
from .pictures import Picture, show_reconstruction, show_search, show_views
from .report import Report

GAP, TEXT = 8, 18  # pixels


def write_overview(report: Report, path: str | Path) -> None:
    """Write the image, as PNG or WebP.

    Raises:
        Unavailable: If there is no checkpoint, or the model lacks a head.
    """
    model, samples = report.model, report.samples[:2]
    sections = (
        show_views(samples),
        show_reconstruction(model, samples),
        show_search(model, samples),
    )
    views, reconstruction, search = (each['groups'][0][1][0] for each in sections)
    found = search[2]._replace(caption='found place')
    rows = [draw_row(views), draw_row([*reconstruction[1:], *search[:2], found])]
    with whole_file(path) as partial:
        stack(rows).save(partial, Path(path).suffix[1:].upper())


def draw_row(
    pictures: list[Picture], title: str = '', height: int | None = 160
) -> Image:
    """Pictures side by side, resized to a height in pixels, above their captions."""
    images = [each.image.convert('RGBA') for each in pictures]
    if height:
        images = [x.resize((height * x.width // x.height, height)) for x in images]
    lefts = list(accumulate((each.width + GAP for each in images), initial=0))
    top = TEXT if title else 0
    bottom = top + max(each.height for each in images)
    row = new_image('RGB', (lefts[-1], bottom + TEXT + GAP), 'white')
    pen = ImageDraw.Draw(row)
    pen.text((0, 0), title, fill='black')
    for picture, image, left in zip(pictures, images, lefts, strict=False):
        row.paste(image, (left, top), image)
        pen.text((left, bottom + 3), picture.caption, fill='black')
    return row


def stack(rows: list[Image]) -> Image:
    """Rows below each other."""
    tops = list(accumulate((row.height for row in rows), initial=0))
    canvas = new_image('RGB', (max(row.width for row in rows), tops[-1]), 'white')
    for row, top in zip(rows, tops, strict=False):
        canvas.paste(row, (0, top))
    return canvas
