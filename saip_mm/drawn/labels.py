"""What is known about a drawn image: parts, keypoints, boxes, attributes."""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from .wardrobe import Outfit


class Part(IntEnum):
    """Labels of the Look into Person (LIP) data set; left is the person's left.

    As there, the neck belongs to the face and bags have no label.
    """

    BACKGROUND = 0
    HAT = 1
    HAIR = 2
    GLOVE = 3
    SUNGLASSES = 4
    UPPER_CLOTHES = 5
    DRESS = 6
    COAT = 7
    SOCKS = 8
    PANTS = 9
    JUMPSUITS = 10
    SCARF = 11
    SKIRT = 12
    FACE = 13
    LEFT_ARM = 14
    RIGHT_ARM = 15
    LEFT_LEG = 16
    RIGHT_LEG = 17
    LEFT_SHOE = 18
    RIGHT_SHOE = 19


class Limb(IntEnum):
    """What a pixel shows of the body, dressed or not; decides what is visible."""

    NONE = 0
    TRUNK = 1
    HEAD = 2
    LEFT_ARM = 3
    RIGHT_ARM = 4
    LEFT_LEG = 5
    RIGHT_LEG = 6


class Tag(NamedTuple):
    """Labels of a painted area."""

    part: Part = Part.BACKGROUND
    person: int = 0  # 0 is nobody
    limb: Limb = Limb.NONE


PARTS = tuple(part.name.lower().replace('_', '-') for part in Part)

KEYPOINTS = (
    'nose',
    'left_eye',
    'right_eye',
    'left_ear',
    'right_ear',
    'left_shoulder',
    'right_shoulder',
    'left_elbow',
    'right_elbow',
    'left_wrist',
    'right_wrist',
    'left_hip',
    'right_hip',
    'left_knee',
    'right_knee',
    'left_ankle',
    'right_ankle',
)


@dataclass(frozen=True)
class Person:
    """One person of an image. Boxes are x1, y1, x2, y2 in pixels."""

    identity: int
    keypoints: np.ndarray
    """float32 [17, 3] in COCO's order: x, y in pixels and v, which is 0 outside the
    image (then x = y = 0), 1 where the keypoint is hidden, 2 where it is visible."""
    whole_body: np.ndarray
    """float32 [133, 3] in COCO-WholeBody's order: ``keypoints``, then 6 of the feet, 68
    of the face and 21 of each hand, which only follow from the joints."""
    yaw: float
    """Where the trunk faces, in radians: 0 is the camera, pi/2 the image's right."""
    full_box: np.ndarray
    """float32 [4], of everything but bags; it may reach outside the image."""
    visible_box: np.ndarray
    """float32 [4], of the visible pixels; zeros where there are none."""
    head_box: np.ndarray
    """float32 [4], with hair and hat; it may reach outside the image."""
    attributes: np.ndarray
    """bool, one for each of ``ATTRIBUTES``."""
    outfit: Outfit
    """What the attributes are of, in full."""
    measurements: np.ndarray
    """float32, one for each field of ``Body``."""


class LabeledImage(NamedTuple):
    """An image and all that is known about it."""

    image: np.ndarray
    """RGB, uint8 [h, w, 3]."""
    parts: np.ndarray
    """Indices into ``PARTS``, uint8 [h, w]."""
    instances: np.ndarray
    """uint8 [h, w]: i + 1 where people[i] is seen, 0 elsewhere."""
    people: tuple[Person, ...]
    """The one whom the image is of comes first."""
    camera: int
