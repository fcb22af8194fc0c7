"""Images in the layout of Market-1501, whose names say who is seen by which camera."""

import os
import re
from typing import NamedTuple

from ..data.folders import find_images

NAME = re.compile(r'(-1|\d{1,9})_c(\d{1,9})')
# People of Market-1501 who are nobody.
JUNK, DISTRACTOR = -1, 0


class ReIDImage(NamedTuple):
    """An image, the person in it, and the camera that took it."""

    img_path: str
    pid: int
    """``JUNK`` is ignored, ``DISTRACTOR`` is never a match."""
    camid: int


def read_folder(folder: str) -> list[ReIDImage]:
    """Images with names such as 0002_c1s1_000451_03.jpg, sorted.

    Raises:
        OSError: If the folder does not exist, or no image in it.
        ValueError: If a name does not say person and camera.
    """
    images, strange = [], []
    for path in (os.path.join(folder, name) for name in find_images(folder)):
        if match := NAME.match(os.path.basename(path)):
            images.append(ReIDImage(path, int(match[1]), int(match[2])))
        else:
            strange.append(path)
    if strange:
        more = f' (and {len(strange) - 1} more)' if len(strange) > 1 else ''
        raise ValueError(
            f'{strange[0]}: the name does not say identity and camera, as '
            f'0002_c1s1_000451_03.jpg does; rename or remove the image{more}'
        )
    return images
