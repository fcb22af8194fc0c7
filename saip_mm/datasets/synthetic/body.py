"""Who a synthetic person is, how they stand, and where that puts their joints.

Lengths are fractions of the person's stature, angles are radians. The body frame is
x to the person's left, y down, z forward; seen from the front, x is the image's right.
"""

from dataclasses import dataclass

import numpy as np

Colour = tuple[int, int, int]

SKINS = (
    (234, 202, 178),
    (222, 180, 150),
    (212, 165, 130),
    (182, 132, 96),
    (140, 94, 66),
    (98, 64, 46),
)
HAIRS = (
    (28, 24, 24),
    (54, 38, 30),
    (92, 62, 40),
    (140, 90, 48),
    (202, 168, 110),
    (116, 56, 34),
    (150, 148, 146),
)
CLOTHES = (
    (32, 32, 36),
    (232, 230, 224),
    (126, 128, 132),
    (36, 48, 86),
    (58, 98, 160),
    (128, 172, 210),
    (172, 38, 44),
    (112, 30, 48),
    (226, 126, 44),
    (228, 196, 70),
    (60, 120, 70),
    (96, 104, 62),
    (194, 172, 132),
    (104, 72, 52),
    (214, 132, 158),
    (112, 74, 132),
)
TROUSERS = (0, 2, 3, 3, 4, 11, 12, 13, 0, 1)  # in CLOTHES; what legs usually wear
SHOES = (0, 0, 1, 1, 2, 13, 6, 4)
HAIR_STYLES = ('short', 'short', 'long', 'long', 'tail', 'bun', 'bald', 'cap')
PATTERNS = ('plain', 'plain', 'stripes', 'block', 'logo', 'open', 'vertical', 'checks')
BOTTOMS = ('trousers', 'trousers', 'trousers', 'shorts', 'skirt')
BAGS = ('none', 'none', 'backpack', 'shoulder', 'hand')


@dataclass(frozen=True)
class Identity:
    """What all images of one person share."""

    stature: float  # relative to the average person
    shoulder: float  # half widths and depth of the trunk
    waist: float
    hip: float
    depth: float
    girth: float  # of the limbs, relative to average
    leg: float  # hip to ankle
    head: float  # relative to average
    skin: Colour
    hair: Colour
    hair_style: str
    top: Colour
    accent: Colour  # second colour of the top, also of a cap
    pattern: str
    sleeve: float  # covered part of the arm
    hem: float  # how far the top reaches below the hip joints
    bottom: Colour
    bottom_kind: str
    bottom_length: float  # covered part of the leg
    shoes: Colour
    bag: str
    bag_colour: Colour


def draw_identity(rng: np.random.Generator) -> Identity:
    """Draw a person: body, skin, hair, clothes, bag."""

    def pick(options):
        return options[rng.integers(len(options))]

    def dye(colour):
        shifts = rng.integers(-12, 13, 3).tolist()
        return tuple(
            min(max(c + s, 0), 255) for c, s in zip(colour, shifts, strict=True)
        )

    top, accent = rng.choice(len(CLOTHES), 2, replace=False)
    build = rng.uniform(0.86, 1.2)
    bottom_kind = pick(BOTTOMS)
    short = bottom_kind != 'trousers'
    return Identity(
        stature=rng.uniform(0.86, 1.1),
        shoulder=rng.uniform(0.092, 0.112),
        waist=build * rng.uniform(0.074, 0.088),
        hip=build * rng.uniform(0.08, 0.092),
        depth=build * rng.uniform(0.058, 0.07),
        girth=build * rng.uniform(0.95, 1.05),
        leg=rng.uniform(0.475, 0.515),
        head=rng.uniform(0.94, 1.08),
        skin=dye(pick(SKINS)),
        hair=dye(pick(HAIRS)),
        hair_style=pick(HAIR_STYLES),
        top=dye(CLOTHES[top]),
        accent=dye(CLOTHES[accent]),
        pattern=pick(PATTERNS),
        sleeve=pick((0.0, 0.36, 0.36, 0.92, 0.92)),
        hem=pick((0.01, 0.03, 0.05, 0.16)),
        bottom=dye(CLOTHES[pick(TROUSERS)]),
        bottom_kind=bottom_kind,
        bottom_length=rng.uniform(0.38, 0.62) if short else 1.0,
        shoes=dye(CLOTHES[pick(SHOES)]),
        bag=pick(BAGS),
        bag_colour=dye(pick(CLOTHES)),
    )


@dataclass(frozen=True)
class Pose:
    """Angles of one posture; pairs are (left, right).

    A limb's direction is (flexion, abduction): forward and away from the body, from
    hanging straight down. Forearms have directions of their own; `knees` bend back.
    """

    yaw: float  # 0 faces the camera, pi/2 the image's right, pi looks away
    lean: float  # of the trunk, forward
    sway: float  # of the trunk, to the person's left
    turn: float  # of the head, relative to the trunk
    thighs: tuple[tuple[float, float], tuple[float, float]]
    knees: tuple[float, float]
    arms: tuple[tuple[float, float], tuple[float, float]]
    forearms: tuple[tuple[float, float], tuple[float, float]]


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


def draw_pose(rng: np.random.Generator) -> Pose:
    """Draw a person standing, walking or running, seen from anywhere around."""
    gait = rng.integers(6)
    if gait < 2:  # stand
        stride, bend, lean = rng.uniform(0, 0.08), rng.uniform(0, 0.1), 0.0
    elif gait < 5:  # walk
        stride, bend, lean = rng.uniform(0.2, 0.4), rng.uniform(0.5, 0.9), 0.05
    else:  # run
        stride, bend, lean = rng.uniform(0.4, 0.65), rng.uniform(1.0, 1.5), 0.15
    phase = rng.uniform(0, 2 * np.pi)
    flexions = stride * np.sin([phase, phase + np.pi])
    # A leg that swings forward bends its knee; the one that carries is nearly straight.
    knees = 0.06 + bend * np.maximum(np.cos([phase, phase + np.pi]), 0)
    spread = rng.uniform(0.0, 0.14 if gait < 2 else 0.04, 2)
    left, left_fore = _gesture(rng, -0.9 * flexions[0])
    right, right_fore = _gesture(rng, -0.9 * flexions[1])
    return Pose(
        yaw=rng.uniform(-np.pi, np.pi),
        lean=lean + rng.uniform(-0.05, 0.1),
        sway=rng.uniform(-0.05, 0.05),
        turn=rng.uniform(-0.6, 0.6),
        thighs=tuple(zip(flexions, spread, strict=True)),
        knees=tuple(knees),
        arms=(left, right),
        forearms=(left_fore, right_fore),
    )


def _direction(angles, side):
    flexion, abduction = angles
    return np.array(
        [
            side * np.sin(abduction),
            np.cos(abduction) * np.cos(flexion),
            np.cos(abduction) * np.sin(flexion),
        ]
    )


def turned(points: np.ndarray, yaw: float) -> np.ndarray:
    """Turn points [..., 3] about the vertical; afterwards z points to the camera."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    return points @ np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])


def skeleton(who: Identity, pose: Pose) -> dict[str, np.ndarray]:
    """Joints [3] of a person who stands on y = 0, turned towards the camera by yaw.

    Names: pelvis, chest (between the shoulders), crown, chin and, with a suffix `_l` or
    `_r`: hip, knee, ankle, toe, shoulder, elbow, wrist, hand.
    """
    up = np.array([np.sin(pose.sway), -np.cos(pose.lean), np.sin(pose.lean)])
    trunk = 0.762 - who.leg  # the rest is foot, neck and head
    chest = trunk * up
    chin = chest + 0.05 * up + np.array([0, 0, 0.012])
    joints = {'pelvis': np.zeros(3), 'chest': chest, 'chin': chin}
    joints['crown'] = chin + 0.132 * who.head * (up + np.array([0, 0, -0.05]))
    for i, (suffix, side) in enumerate((('_l', 1), ('_r', -1))):
        thigh, knee = pose.thighs[i], pose.knees[i]
        shin = _direction((thigh[0] - knee, thigh[1] * 0.5), side)
        hip = np.array([side * 0.58 * who.hip, 0, 0])
        joints['hip' + suffix] = hip
        joints['knee' + suffix] = hip + 0.51 * who.leg * _direction(thigh, side)
        ankle = joints['knee' + suffix] + 0.49 * who.leg * shin
        joints['ankle' + suffix] = ankle
        foot = _direction((thigh[0] - 0.8 * knee + np.pi / 2 - 0.25, 0.12), side)
        joints['toe' + suffix] = ankle + 0.105 * foot + np.array([0, 0.012, 0])
        shoulder = chest + np.array([side * (who.shoulder - 0.012), 0.018, 0])
        joints['shoulder' + suffix] = shoulder
        fore = _direction(pose.forearms[i], side)
        elbow = shoulder + 0.168 * _direction(pose.arms[i], side)
        joints['elbow' + suffix] = elbow
        joints['wrist' + suffix] = elbow + 0.14 * fore
        joints['hand' + suffix] = elbow + 0.195 * fore
    points = np.stack(list(joints.values()))
    points[:, 1] -= points[:, 1].max() + 0.018  # the sole lies below ankle and toe
    return dict(zip(joints, turned(points, pose.yaw), strict=True))
