"""Names of images in Market-1501, which say who is seen by which camera."""

import os
import re

NAME = re.compile(r'(-1|\d{1,9})_c(\d{1,9})')


def read_name(path: str) -> tuple[int, int]:
    """Identity and camera from a name such as 0002_c1s1_000451_03.jpg.

    Identity -1 is junk, 0 is nobody's.

    Raises:
        ValueError: If the name says neither.
    """
    match = NAME.match(os.path.basename(path))
    if match is None:
        raise ValueError(
            f'{path}: the name does not say identity and camera, as '
            '0002_c1s1_000451_03.jpg does; rename or remove the image'
        )
    return int(match[1]), int(match[2])
