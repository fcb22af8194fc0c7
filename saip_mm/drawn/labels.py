"""Names of what a pixel or a keypoint shows."""

from enum import IntEnum
from typing import NamedTuple

Color = tuple[int, int, int]
# Labels of the Look into Person (LIP) data set; left is the person's left. As in LIP,
# the neck belongs to the face, and bags have no label.
Part = IntEnum(
    'Part',
    'BACKGROUND HAT HAIR GLOVE SUNGLASSES UPPER_CLOTHES DRESS COAT SOCKS PANTS '
    'JUMPSUITS SCARF SKIRT FACE LEFT_ARM RIGHT_ARM LEFT_LEG RIGHT_LEG LEFT_SHOE '
    'RIGHT_SHOE',
    start=0,
)
# Parts of the body, dressed or not; they decide which keypoints are visible.
Limb = IntEnum('Limb', 'NONE TRUNK HEAD LEFT_ARM RIGHT_ARM LEFT_LEG RIGHT_LEG', start=0)


class Tag(NamedTuple):
    """Labels of a painted area."""

    part: Part = Part.BACKGROUND
    person: int = 0  # 0 is nobody
    limb: Limb = Limb.NONE


JOINTS = ('eye', 'ear', 'shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle')
PARTS = tuple(part.name.lower().replace('_', '-') for part in Part)
KEYPOINTS = (
    'nose',
    *(f'{side}_{name}' for name in JOINTS for side in ('left', 'right')),
)
