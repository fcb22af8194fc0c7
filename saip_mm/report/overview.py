"""Overview image of a training: views, reconstruction and search of a person."""

from itertools import accumulate
from pathlib import Path

from PIL import Image, ImageDraw

from ..files import whole_file
from .pictures import Picture, show_reconstruction, show_search, show_views
from .report import Report

HEIGHT, GAP, TEXT = 160, 8, 18  # pixels


def write_overview(report: Report, path: str | Path) -> None:
    """Write the image, as PNG or WebP.

    Raises:
        Unavailable: If there is no checkpoint, or the model lacks a head.
    """
    model, samples = report.latest[0], report.samples[:2]
    sections = (
        show_views(samples),
        show_reconstruction(model, samples),
        show_search(model, samples),
    )
    views, reconstruction, search = (each['groups'][0][1][0] for each in sections)
    found = search[2]._replace(caption='found place')
    rows = [_row(views), _row([*reconstruction[1:], *search[:2], found])]
    canvas = Image.new('RGB', (max(r.width for r in rows), sum(r.height for r in rows)))
    canvas.paste('white', (0, 0, *canvas.size))
    for row, top in zip(rows, accumulate([0, rows[0].height]), strict=False):
        canvas.paste(row, (0, top))
    with whole_file(path) as partial:
        canvas.save(partial, Path(path).suffix[1:].upper())


def _row(pictures: list[Picture]) -> Image.Image:
    """Pictures of the same height side by side, each above its caption."""
    images = [
        each.image.convert('RGBA').resize(
            (HEIGHT * each.image.width // each.image.height, HEIGHT)
        )
        for each in pictures
    ]
    lefts = list(accumulate((each.width + GAP for each in images), initial=0))
    row = Image.new('RGB', (lefts[-1], HEIGHT + TEXT + GAP), 'white')
    for picture, image, left in zip(pictures, images, lefts, strict=False):
        row.paste(image, (left, 0), image)
        ImageDraw.Draw(row).text((left, HEIGHT + 3), picture.caption, fill='black')
    return row
