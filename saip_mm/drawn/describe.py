"""What is known about a figure once its image is painted."""

import numpy as np

from .body import turned
from .figure import Figure
from .labels import Limb, Person
from .whole_body import face_points, foot_points, hand_points

BEHIND = -0.04  # a shoulder or hip farther than that lies behind the trunk
PAIRS = (
    ('shoulder', 'ARM'),
    ('elbow', 'ARM'),
    ('wrist', 'ARM'),
    ('hip', 'LEG'),
    ('knee', 'LEG'),
    ('ankle', 'LEG'),
)


def describe(figure: Figure, labels: np.ndarray) -> Person:
    """Keypoints, boxes, attributes and measurements.

    labels: of the whole painted canvas, uint8 [H, W, 3].
    """
    dressed = [tube for tube in figure.tubes if tube.tag.person]
    keypoints = _keypoints(figure, labels)
    return Person(
        identity=figure.who.number,
        keypoints=keypoints,
        whole_body=np.concatenate([keypoints, _details(figure, labels)]),
        yaw=float(figure.pose.yaw),
        full_box=_box_around(dressed),
        visible_box=_visible_box(labels[..., 1], figure.number),
        head_box=_box_around([t for t in dressed if t.tag.limb == Limb.HEAD]),
        attributes=figure.who.attributes,
        outfit=figure.outfit,
        measurements=figure.who.measurements,
    )


def _keypoints(figure, labels):
    """Keypoints [17, 3]; visible is what faces the camera and has its own limb on
    top."""
    points, facing = _face(figure)
    limbs = [(Limb.HEAD,)] * 5
    for joint, limb in PAIRS:
        for suffix, side in (('_l', 'LEFT_'), ('_r', 'RIGHT_')):
            point = figure.joints[joint + suffix]
            own = Limb[side + limb]
            under_clothes = joint in ('shoulder', 'hip') or (
                joint == 'knee' and figure.outfit.lower == 'skirt'
            )
            on_trunk = under_clothes and point[2] > BEHIND
            limbs.append((own, Limb.TRUNK) if on_trunk else (own,))
            points.append(point)
            facing.append(1.0)
    return _look_up(figure, labels, np.stack(points), facing, limbs)


def _details(figure, labels):
    """Feet, face and hands [116, 3]; visible as in _keypoints."""
    feet, (face, facing) = foot_points(figure), face_points(figure)
    hands = [hand_points(figure, side) for side in ('_l', '_r')]
    limbs = [(Limb.LEFT_LEG,)] * 3 + [(Limb.RIGHT_LEG,)] * 3 + [(Limb.HEAD,)] * 68
    limbs += [(Limb.LEFT_ARM,)] * 21 + [(Limb.RIGHT_ARM,)] * 21
    facing = np.concatenate([np.ones(6), facing, np.ones(42)])
    points = np.concatenate([feet, face, *hands])
    return _look_up(figure, labels, points, facing, limbs)


def _look_up(figure, labels, points, facing, limbs):
    """Keypoints [n, 3] of body points [n, 3]; limbs: what may lie on top of each."""
    h, w = labels.shape[:2]
    keypoints = np.zeros((len(points), 3), np.float32)
    for i, (x, y) in enumerate(figure.project(points).tolist()):
        if 0 <= x < w and 0 <= y < h:
            _, person, limb = labels[int(y), int(x)]
            seen = person == figure.number and limb in limbs[i] and facing[i] > 0
            keypoints[i] = x, y, 2 if seen else 1
    return keypoints


def _face(figure):
    """Nose, eyes and ears, and how far each faces the camera."""
    crown, chin = figure.joints['crown'], figure.joints['chin']
    yaw, size = figure.pose.yaw + figure.pose.turn, figure.body.head
    points, facing = [], []
    for height, angle in ((0.58, 0), (0.42, 0.4), (0.42, -0.4)):
        normal = turned(np.array([np.sin(angle), 0, np.cos(angle)]), yaw)
        points.append(crown + height * (chin - crown) + 0.05 * size * normal)
        facing.append(normal[2])
    for side in (1, -1):
        normal = turned(np.array([side, 0.0, 0.0]), yaw)
        points.append(crown + 0.5 * (chin - crown) + 0.043 * size * normal)
        facing.append(normal[2] + 0.4)  # ears stand out, and show from the front
    return points, facing


def _box_around(tubes):
    points = np.concatenate([tube.sections for tube in tubes])
    center, side = points[:, 0], points[:, 1]
    corners = np.concatenate([center - side, center + side])
    return np.concatenate([corners.min(0), corners.max(0)]).astype(np.float32)


def _visible_box(instances, number):
    rows, columns = np.nonzero(instances == number)
    if not len(rows):
        return np.zeros(4, np.float32)
    low, high = (columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)
    return np.array([*low, *high], np.float32)
