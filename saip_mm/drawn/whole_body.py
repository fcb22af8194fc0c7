"""Feet, face and hands of a figure in COCO-WholeBody's order, from its joints.

The order is that of https://github.com/jin-s13/COCO-WholeBody: 6 points of the feet, 68
of the face (as in iBUG 300-W), 21 of each hand. Faces and hands are drawn without such
detail; the points lie where a face or hand of that size would have them.
"""

import numpy as np

from .body import turned
from .figure import Figure

UP = np.array([0.0, -1.0, 0.0])
SOLE = np.array([0.0, 0.008, 0.0])
# The head as it is drawn: half widths at heights from the crown (0) to the chin (1).
HEIGHTS = (0.0, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0)
HALF_WIDTHS = (0.02, 0.04, 0.047, 0.048, 0.043, 0.03, 0.018)
DEEPER = 1.15


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


def face_points(figure: Figure) -> tuple[np.ndarray, np.ndarray]:
    """Body points [68, 3] and how far each faces the camera [68]."""
    crown, chin = figure.joints['crown'], figure.joints['chin']
    yaw = figure.pose.yaw + figure.pose.turn
    out = np.zeros((68, 3))
    out[:, 0], out[:, 2] = np.sin(FACE_ANGLES), np.cos(FACE_ANGLES)
    facing = turned(out, yaw)[:, 2]
    width = np.interp(FACE_HEIGHTS, HEIGHTS, HALF_WIDTHS) * figure.body.head
    out *= width[:, None] * (1 + 0.2 * NOSE[:, None])
    out[:, 2] *= DEEPER
    return crown + FACE_HEIGHTS[:, None] * (chin - crown) + turned(out, yaw), facing


def foot_points(figure: Figure) -> np.ndarray:
    """Big toe, small toe and heel [6, 3], first of the left foot."""
    left = turned(np.array([1.0, 0.0, 0.0]), figure.pose.yaw)
    points = []
    for suffix, outwards in (('_l', left), ('_r', -left)):
        ankle, toe = figure.joints['ankle' + suffix], figure.joints['toe' + suffix]
        foot = toe - ankle
        points += [
            toe + SOLE + 0.08 * foot - 0.01 * outwards,
            toe + SOLE - 0.08 * foot + 0.012 * outwards,
            ankle + SOLE - 0.12 * foot,
        ]
    return np.stack(points)


def hand_points(figure: Figure, suffix: str) -> np.ndarray:
    """Root, thumb, fore, middle, ring and little finger [21, 3], inside the drawn hand.

    The thumb is the side towards where the person faces, as in an arm that hangs.
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
    lengths, sides = np.array(steps).T
    return wrist + lengths[:, None] * along + sides[:, None] * across
