"""Body, pose and joints of a drawn person.

Lengths are fractions of the stature, angles are radians. The body frame is x to the
person's left, y down, z forward; seen from the front, x is the image's right.
"""

import numpy as np

POSTURES = dict(stand=0.32, walk=0.38, run=0.12, sit=0.12, bend=0.06)
FRONT, BACK, SIDE = 0.0, np.pi, np.pi / 2
VIEWPOINTS = (FRONT, FRONT, BACK, BACK, SIDE, -SIDE)


class Body:
    """Measures of a body: short or tall, slim or stout."""

    def __init__(self, rng: np.random.Generator):
        build = rng.uniform(0.84, 1.24)
        self.stature = rng.uniform(0.82, 1.1)  # relative to the average person
        # Half widths and depth of the trunk.
        self.shoulder = rng.uniform(0.092, 0.114)
        self.waist = build * rng.uniform(0.072, 0.09)
        self.hip = build * rng.uniform(0.08, 0.092)
        self.depth = build * rng.uniform(0.056, 0.072)
        self.girth = build * rng.uniform(0.94, 1.06)  # of limbs, relative to average
        self.leg = rng.uniform(0.47, 0.515)  # hip to ankle
        self.head = rng.uniform(0.94, 1.1)  # relative to average


class Pose:
    """A posture and a viewpoint; pairs are (left, right).

    A limb's direction is (flexion, abduction): forward and away from the body, from
    hanging straight down. ``knees`` bend back.
    """

    def __init__(self, rng: np.random.Generator):
        kind = rng.choice(list(POSTURES), p=list(POSTURES.values()))
        phase = rng.uniform(0, 2 * np.pi) + np.array([0, np.pi])
        lean = rng.uniform(-0.05, 0.1)
        spread = rng.uniform(0.0, 0.04, 2)
        if kind == 'sit':
            flexions, knees = rng.uniform(1.3, 1.5, 2), rng.uniform(1.1, 1.6, 2)
            spread, lean = rng.uniform(0.02, 0.25, 2), lean + rng.uniform(-0.1, 0.2)
        elif kind == 'bend':
            flexions, knees = rng.uniform(0.1, 0.6, 2), rng.uniform(0.3, 1.0, 2)
            lean += rng.uniform(0.4, 1.0)
        else:
            stride, bend = {
                'stand': (rng.uniform(0, 0.08), rng.uniform(0, 0.1)),
                'walk': (rng.uniform(0.2, 0.4), rng.uniform(0.5, 0.9)),
                'run': (rng.uniform(0.4, 0.65), rng.uniform(1.0, 1.5)),
            }[kind]
            flexions = stride * np.sin(phase)
            # The leg that swings forward bends its knee; the other is nearly straight.
            knees = 0.06 + bend * np.maximum(np.cos(phase), 0)
            if kind == 'stand':
                spread = rng.uniform(0.0, 0.14, 2)
            lean += {'stand': 0.0, 'walk': 0.05, 'run': 0.15}[kind]
        swings = np.zeros(2) if kind == 'sit' else -0.9 * flexions
        gestures = [_gesture(rng, swing + 0.7 * max(lean - 0.2, 0)) for swing in swings]
        self.arms, self.forearms = zip(*gestures, strict=True)
        # 0 faces the camera, pi/2 the image's right, pi looks away.
        self.yaw = rng.choice(VIEWPOINTS) + rng.uniform(-0.5, 0.5)
        self.lean = lean  # of the trunk, forward
        self.sway = rng.uniform(-0.05, 0.05)  # of the trunk, to the person's left
        self.turn = rng.uniform(-0.6, 0.6)  # of the head, relative to the trunk
        self.thighs = tuple(zip(flexions, spread, strict=True))
        self.knees, self.seated = tuple(knees), kind == 'sit'


def _gesture(rng, swing):
    """Upper arm and forearm (flexion, abduction), for one arm."""
    kind = rng.integers(10)
    loose = rng.uniform(-0.1, 0.1)
    if kind == 0:  # looking at a phone, holding a cup
        arm = (rng.uniform(0.1, 0.6), 0.15 + loose)
        return arm, (arm[0] + rng.uniform(1.3, 1.9), rng.uniform(-0.7, -0.1))
    if kind == 1:  # hand on the hip or in a pocket
        arm = (rng.uniform(-0.5, -0.1), rng.uniform(0.3, 0.75))
        return arm, (0.25 + loose, -rng.uniform(0.4, 0.8))
    if kind == 2:  # waving, pointing, reaching
        arm = (rng.uniform(0.2, 1.6), rng.uniform(0.5, 1.3))
        return arm, (arm[0] + rng.uniform(0.3, 1.4), rng.uniform(0.1, 1.0))
    if kind == 3:  # across the chest
        arm = (rng.uniform(0.1, 0.4), 0.2 + loose)
        return arm, (rng.uniform(1.2, 1.6), -rng.uniform(0.8, 1.2))
    arm = (swing + loose, rng.uniform(0.06, 0.2))
    bend = rng.uniform(0.05, 0.5) + 0.5 * max(swing, 0)
    return arm, (arm[0] + bend, arm[1] - rng.uniform(0, 0.2))


def _direction(angles, side):
    flexion, abduction = angles
    across, along = np.sin(abduction), np.cos(abduction)
    return np.array([side * across, along * np.cos(flexion), along * np.sin(flexion)])


def turned(points: np.ndarray, yaw: float) -> np.ndarray:
    """Turn points [..., 3] about the vertical; afterwards z points to the camera."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    return points @ np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])


def skeleton(body: Body, pose: Pose) -> dict[str, np.ndarray]:
    """Return joints [3] of a person who stands on y = 0, turned by yaw.

    Names: pelvis, chest (between the shoulders), crown, chin and, with a suffix `_l` or
    `_r`: hip, knee, ankle, toe, shoulder, elbow, wrist, hand.
    """
    up = np.array([np.sin(pose.sway), -np.cos(pose.lean), np.sin(pose.lean)])
    trunk = 0.762 - body.leg  # the rest is foot, neck and head
    chest = trunk * up
    chin = chest + 0.05 * up + np.array([0, 0, 0.012])
    joints = {'pelvis': np.zeros(3), 'chest': chest, 'chin': chin}
    joints['crown'] = chin + 0.132 * body.head * (up + np.array([0, 0, -0.05]))
    for i, (suffix, side) in enumerate((('_l', 1), ('_r', -1))):
        thigh, bend = pose.thighs[i], pose.knees[i]
        shin = _direction((thigh[0] - bend, thigh[1] * 0.5), side)
        foot = _direction((thigh[0] - 0.8 * bend + np.pi / 2 - 0.25, 0.12), side)
        fore = _direction(pose.forearms[i], side)
        hip = np.array([side * 0.58 * body.hip, 0, 0])
        knee = hip + 0.51 * body.leg * _direction(thigh, side)
        ankle = knee + 0.49 * body.leg * shin
        shoulder = chest + np.array([side * (body.shoulder - 0.012), 0.018, 0])
        elbow = shoulder + 0.168 * _direction(pose.arms[i], side)
        limbs = dict(hip=hip, knee=knee, ankle=ankle, shoulder=shoulder, elbow=elbow)
        limbs['toe'] = ankle + 0.105 * foot + np.array([0, 0.012, 0])
        limbs['wrist'], limbs['hand'] = elbow + 0.14 * fore, elbow + 0.195 * fore
        joints |= {name + suffix: at for name, at in limbs.items()}
    points = np.stack(list(joints.values()))
    points[:, 1] -= points[:, 1].max() + 0.018  # the sole lies below ankle and toe
    return dict(zip(joints, turned(points, pose.yaw), strict=True))
