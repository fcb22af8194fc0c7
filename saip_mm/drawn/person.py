"""Labels of a drawn person: keypoints, boxes, attributes.

COCO-WholeBody (https://github.com/jin-s13/COCO-WholeBody) adds 6 points of the feet, 68
of the face (as in iBUG 300-W) and 21 of each hand to COCO's 17. Faces and hands are
drawn without such detail; the points lie where those of a face or hand of that size
would be.
"""

from collections.abc import Iterator

import cv2
import numpy as np

from .attributes import ATTRIBUTES
from .body import turned
from .figure import DEEPER, HEAD, SIDES, SOLE, Figure
from .labels import Limb

# A body point, whether it faces the camera (> 0), limbs that it is visible on.
Row = tuple[np.ndarray, float, tuple[Limb, ...]]
LIMBS = dict(
    shoulder='ARM', elbow='ARM', wrist='ARM', hip='LEG', knee='LEG', ankle='LEG'
)
BEHIND = -0.04  # a shoulder or hip farther than that lies behind the trunk
UP = np.array([0.0, -1.0, 0.0])
# Of the head, with its round ends.
HEIGHTS, HALF_WIDTHS = (0.0, *HEAD, 1.0), (0.02, *HEAD.values(), 0.018)


class Person:
    """Labels of a person in a drawing.

    Keypoints are float32 rows of x, y, v; v is 0 outside the image (then x = y = 0), 1
    if hidden, 2 if visible. Boxes are float32 x1, y1, x2, y2.

    Args:
        figure: The person.
        labels: Labels of the painted canvas, uint8 [H, W, 3].
    """

    def __init__(self, figure: Figure, labels: np.ndarray):
        self.identity: int = figure.who.number
        self.body, self.outfit = figure.body, figure.outfit
        # Of the trunk: 0 faces the camera, pi/2 the image's right.
        self.yaw = float(figure.pose.yaw)
        self.attributes = np.array([has(self) for has in ATTRIBUTES.values()])
        # [133, 3] in COCO-WholeBody's order; the first 17 are ``KEYPOINTS``.
        self.whole_body = _whole_body(figure, labels)
        self.keypoints = self.whole_body[:17]
        # Without bags, and of the head with hair and hat; both may exceed the image.
        dressed = [tube for tube in figure.tubes if tube.tag.person]
        self.full_box = _box_around(dressed)
        self.head_box = _box_around(t for t in dressed if t.tag.limb == Limb.HEAD)
        # Of the visible pixels; zeros if there are none.
        mine = (labels[..., 1] == figure.number).astype(np.uint8)
        x, y, w, h = cv2.boundingRect(mine)
        self.visible_box = np.array([x, y, x + w, y + h], np.float32)


def _box_around(tubes):
    points = np.concatenate([tube.sections for tube in tubes])
    center, side = points[:, 0], points[:, 1]
    corners = np.concatenate([center - side, center + side])
    return np.concatenate([corners.min(0), corners.max(0)]).astype(np.float32)


def _whole_body(figure, labels):
    """Keypoints [133, 3]; visible ones face the camera, with their own limb on top."""
    points, facing, limbs = zip(
        *_head(figure),
        *_joints(figure),
        *_feet(figure),
        *_face(figure),
        *_hand(figure, '_l'),
        *_hand(figure, '_r'),
        strict=True,
    )
    h, w = labels.shape[:2]
    keypoints = np.zeros((len(points), 3), np.float32)
    for i, (x, y) in enumerate(figure.project(np.stack(points)).tolist()):
        if 0 <= x < w and 0 <= y < h:
            _, person, limb = labels[int(y), int(x)]
            seen = person == figure.number and limb in limbs[i] and facing[i] > 0
            keypoints[i] = x, y, 2 if seen else 1
    return keypoints


def _head(figure) -> Iterator[Row]:
    """Nose, eyes and ears."""
    crown, chin = figure.joints['crown'], figure.joints['chin']
    yaw, size = figure.pose.yaw + figure.pose.turn, figure.body.head
    for height, angle in ((0.58, 0), (0.42, 0.4), (0.42, -0.4)):
        normal = turned(np.array([np.sin(angle), 0, np.cos(angle)]), yaw)
        point = crown + height * (chin - crown) + 0.05 * size * normal
        yield point, normal[2], (Limb.HEAD,)
    for side in (1, -1):
        normal = turned(np.array([side, 0.0, 0.0]), yaw)
        point = crown + 0.5 * (chin - crown) + 0.043 * size * normal
        yield point, normal[2] + 0.4, (Limb.HEAD,)  # ears are seen from the front, too


def _joints(figure) -> Iterator[Row]:
    for joint, limb in LIMBS.items():
        dressed = joint in ('shoulder', 'hip')
        dressed |= joint == 'knee' and figure.outfit.lower == 'skirt'
        for suffix, side in SIDES.items():
            point, own = figure.joints[joint + suffix], Limb[f'{side}_{limb}']
            on_trunk = dressed and point[2] > BEHIND
            yield point, 1.0, (own, Limb.TRUNK) if on_trunk else (own,)


def _feet(figure) -> Iterator[Row]:
    """Big toe, small toe and heel, first of the left foot."""
    left = turned(np.array([1.0, 0.0, 0.0]), figure.pose.yaw)
    for suffix, outwards in (('_l', left), ('_r', -left)):
        ankle, toe = figure.joints['ankle' + suffix], figure.joints['toe' + suffix]
        foot, limbs = toe - ankle, (Limb[f'{SIDES[suffix]}_LEG'],)
        yield toe + SOLE + 0.08 * foot - 0.01 * outwards, 1.0, limbs
        yield toe + SOLE - 0.08 * foot + 0.012 * outwards, 1.0, limbs
        yield ankle + SOLE - 0.12 * foot, 1.0, limbs


def _face_template():
    """Heights [68] and angles [68], in radians to the person's left."""
    jaw = np.linspace(-1.4, 1.4, 17)
    jaw = np.stack([0.97 - 0.47 * np.abs(jaw / 1.4) ** 1.5, jaw], 1)
    heights = np.array((0.40, 0.37, 0.36, 0.37, 0.39))
    brow = np.stack([heights, np.linspace(-0.75, -0.2, 5)], 1)
    bridge = np.stack([np.linspace(0.47, 0.62, 4), np.zeros(4)], 1)
    heights = np.array((0.65, 0.66, 0.67, 0.66, 0.65))
    nostrils = np.stack([heights, np.linspace(-0.2, 0.2, 5)], 1)
    eye = np.array([(0, -1), (-1, -0.4), (-1, 0.4), (0, 1), (1, 0.4), (1, -0.4)])
    eyes = [(0.472, x) + eye * (0.025, 0.17) for x in (-0.42, 0.42)]
    lips = []
    for number, high, wide in ((12, 0.03, 0.3), (8, 0.012, 0.24)):
        turn = np.pi - 2 * np.pi * np.arange(number) / number
        lips.append(np.stack([0.78 - high * np.sin(turn), wide * np.cos(turn)], 1))
    other = brow[::-1] * (1, -1)
    return np.concatenate([jaw, brow, other, bridge, nostrils, *eyes, *lips]).T


FACE_HEIGHTS, FACE_ANGLES = _face_template()
NOSE = np.isin(np.arange(68), (28, 29, 30))  # points that stand out


def _face(figure) -> Iterator[Row]:
    crown, chin = figure.joints['crown'], figure.joints['chin']
    yaw = figure.pose.yaw + figure.pose.turn
    out = np.zeros((68, 3))
    out[:, 0], out[:, 2] = np.sin(FACE_ANGLES), np.cos(FACE_ANGLES)
    facing = turned(out, yaw)[:, 2]
    width = np.interp(FACE_HEIGHTS, HEIGHTS, HALF_WIDTHS) * figure.body.head
    out *= width[:, None] * (1 + 0.2 * NOSE[:, None])
    out[:, 2] *= DEEPER
    points = crown + FACE_HEIGHTS[:, None] * (chin - crown) + turned(out, yaw)
    return ((*row, (Limb.HEAD,)) for row in zip(points, facing, strict=True))


def _hand(figure, suffix) -> Iterator[Row]:
    """Root, thumb, fore, middle, ring and little finger, inside the drawn hand.

    The thumb is on the side that the person faces, as with a hanging arm.
    """
    wrist, hand = figure.joints['wrist' + suffix], figure.joints['hand' + suffix]
    along = hand - wrist
    length = np.linalg.norm(along) + 1e-6
    across = figure.forward - along * (figure.forward @ along) / length**2
    if np.linalg.norm(across) < 0.3:  # the hand points forward
        across = UP - along * (UP @ along) / length**2
    across *= 0.012 * figure.body.girth / np.linalg.norm(across)
    steps = [(0.05, 0.0), (0.2, 0.6), (0.35, 0.8), (0.5, 0.9), (0.62, 0.9)]
    for tip, side in ((1.08, 0.75), (1.15, 0.25), (1.1, -0.25), (1.0, -0.75)):
        steps += [(0.6 + t * (tip - 0.6), side) for t in (0, 0.4, 0.7, 1)]
    limbs = (Limb[f'{SIDES[suffix]}_ARM'],)
    return ((wrist + t * along + side * across, 1.0, limbs) for t, side in steps)
