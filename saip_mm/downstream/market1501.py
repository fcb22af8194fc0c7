"""Image folders in the layout of Market-1501."""

import os
import re
from typing import NamedTuple

from ..data.folders import find_images

NAME = re.compile(r'(-1|\d{1,9})_c(\d{1,9})')
# Identities of Market-1501 that are not people.
JUNK, DISTRACTOR = -1, 0


class ReIDImage(NamedTuple):
    """An image with the identity of the person and the number of the camera."""

    img_path: str
    pid: int
    """``JUNK`` is ignored; ``DISTRACTOR`` never matches."""
    camid: int


def read_folder(folder: str) -> list[ReIDImage]:
    """Images with names such as 0002_c1s1_000451_03.jpg, sorted.

    Raises:
        OSError: If the folder does not exist or contains no image.
        ValueError: If a name does not contain identity and camera.
    """
    images, invalid = [], []
    for path in (os.path.join(folder, name) for name in find_images(folder)):
        if match := NAME.match(os.path.basename(path)):
            images.append(ReIDImage(path, int(match[1]), int(match[2])))
        else:
            invalid.append(path)
    if invalid:
        more = f' (and {len(invalid) - 1} more)' if len(invalid) > 1 else ''
        raise ValueError(
            f'{invalid[0]}: the name does not contain identity and camera, as in '
            f'0002_c1s1_000451_03.jpg; rename or remove the image{more}, or list all '
            'images in labels.csv (type=ReIDCSV)'
        )
    return images
