"""A synthetic person, dressed and placed in an image."""

import math
from collections.abc import Sequence

import numpy as np

from .body import Colour, Identity, Pose, skeleton, turned
from .tubes import Canvas, Patch, Tube, make_tube

ARM = ('shoulder', 'elbow', 'wrist')


class Figure:
    """A person at a place of an image.

    Args:
        who: The person.
        pose: How they stand.
        foot: (x, y) pixels on the ground below the pelvis.
        height: Pixels of an upright person of stature 1.
        tilt: Radians that the camera looks down.
    """

    def __init__(
        self,
        who: Identity,
        pose: Pose,
        foot: tuple[float, float],
        height: float,
        tilt: float = 0.0,
    ):
        self.who, self.pose, self.tilt = who, pose, tilt
        self.foot, self.scale = np.array(foot), height * who.stature
        self.joints = skeleton(who, pose)
        self.forward = turned(np.array([0.0, 0.0, 1.0]), pose.yaw)
        self.tubes: list[Tube] = []
        hips = abs(self.joints['hip_l'][2])
        self.trunk_depth = hips + 0.02  # over both legs, behind the nearer arm
        for side in ('_l', '_r'):
            self._add_leg(side)
            self._add_arm(side)
        self._add_trunk()
        self._add_head()
        self._add_bag()

    def paint(self, canvas: Canvas, light: float = 0.0) -> None:
        """Paint the shadow on the ground, then the parts, the farthest first.

        light in [-1, 1]: where it comes from, left to right.
        """
        angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        feet = self.project(np.stack([self.joints['toe_l'], self.joints['toe_r']]))
        wide = np.ptp(feet[:, 0]) / 2 + 0.1 * self.scale
        x = feet[:, 0].mean() - 0.08 * light * self.scale
        ring = np.stack([wide * np.cos(angle), 0.02 * self.scale * np.sin(angle)], 1)
        canvas.light(ring + (x, self.foot[1]), 100)
        for tube in sorted(self.tubes, key=lambda tube: tube.depth):
            tube.paint(canvas, light)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels [n, 2] of body points [n, 3]; orthographic, from above by tilt."""
        x, y, z = points.T
        down = y * math.cos(self.tilt) + z * math.sin(self.tilt)
        return self.foot + self.scale * np.array([x, down]).T

    def _add(
        self,
        points: Sequence[np.ndarray],
        radii: Sequence[float],
        depth: float,
        colour: Colour,
        patches: Sequence[Patch] = (),
        flatness: float = 1.0,
        turn: float = 0.0,
        flat_end: bool = False,
    ):
        """Add a tube along body points.

        radii: half widths seen from the front; times flatness, seen from the side.
        turn: yaw relative to the body. flat_end: the last end is cut, not round.
        """
        points, yaw = np.array(points), self.pose.yaw + turn
        cos, sin = math.cos(yaw), flatness * math.sin(yaw)
        lengths = np.sqrt(((points[1:] - points[:-1]) ** 2).sum(axis=1)) + 1e-6
        along = [0.0, *(np.cumsum(lengths) / lengths.sum()).tolist()]
        self.tubes.append(
            make_tube(
                self.project(points),
                np.array(radii) * (self.scale * math.hypot(cos, sin)),
                along,
                math.atan2(sin, cos),
                depth,
                colour,
                patches,
                flat_end,
            )
        )

    def _add_leg(self, side):
        who = self.who
        hip, knee, ankle, toe = (
            self.joints[name + side] for name in ('hip', 'knee', 'ankle', 'toe')
        )
        depth = hip[2] + 0.02 * (knee[2] + ankle[2])
        points = [hip, hip + 0.6 * (knee - hip), knee]
        points += [knee + 0.35 * (ankle - knee), ankle]
        radii = who.girth * np.array([0.052, 0.045, 0.034, 0.034, 0.02])
        clothes = []
        if who.bottom_kind != 'skirt':
            length = 2.0 if who.bottom_length == 1 else who.bottom_length
            clothes.append(Patch(-1, length, who.bottom, width=1.15))
        self._add(points, radii, depth, who.skin, clothes)
        sole = np.array([0, 0.008, 0])
        heel = ankle - 0.12 * (toe - ankle) + sole
        self._add([heel, toe + sole], [0.023, 0.019], depth + 0.001, who.shoes)

    def _add_arm(self, side):
        who = self.who
        shoulder, elbow, wrist, hand = (
            self.joints[name + side] for name in (*ARM, 'hand')
        )
        depth = self._arm_depth(side)
        points = [shoulder, elbow, elbow + 0.3 * (wrist - elbow), wrist, hand]
        radii = who.girth * np.array([0.031, 0.024, 0.024, 0.016, 0.014])
        sleeve = []
        if who.sleeve:
            sleeve.append(Patch(-1, 0.88 * who.sleeve, who.top, width=1.18))
            if who.pattern == 'stripes':
                bars = np.arange(0.04, 0.84 * who.sleeve, 0.16)
                sleeve += [
                    Patch(bar, bar + 0.08, who.accent, width=1.18) for bar in bars
                ]
        self._add(points, radii, depth, who.skin, sleeve)

    def _arm_depth(self, side):
        depth = sum(self.joints[name + side][2] for name in ARM) / 3
        # An arm that hangs at the side of the trunk is seen over it, from both sides.
        return depth + self.trunk_depth * (depth > -0.03)

    def _add_trunk(self):
        who, joints = self.who, self.joints
        chest, pelvis = joints['chest'], joints['pelvis']
        down = pelvis - chest
        flatness = who.depth / who.waist
        depth = self.trunk_depth
        below = (joints['knee_l'] + joints['knee_r']) / 2 - pelvis
        if who.bottom_kind == 'skirt':
            hem = pelvis + 2 * who.bottom_length * below
            spread = 0.6 * np.ptp([joints['knee_l'][0], joints['knee_r'][0]])
            radii = [who.waist, who.hip, max(who.hip * 1.25, spread)]
        else:
            hem, radii = pelvis + 0.1 * below, [who.waist, who.hip, who.hip * 0.9]
        points = [chest + 0.8 * down, pelvis, hem]
        self._add(
            points,
            radii,
            depth - 0.002,
            who.bottom,
            flatness=flatness,
            flat_end=True,
        )
        neck = [joints['chin'] - 0.05 * down, chest]
        self._add(neck, [0.028, 0.032], depth - 0.001, who.skin)
        stations = (-0.09, 0.0, 0.08, 0.35, 0.68, 0.97)
        points = [chest + station * down for station in stations]
        points.append(pelvis + who.hem * below / np.linalg.norm(below))
        radii = [0.04, who.shoulder * 0.86, who.shoulder, who.shoulder * 0.93]
        radii += [who.waist, who.hip * 1.03, who.hip * (1.05 + who.hem)]
        patches = [*_top_patches(who), *self._straps()]
        self._add(points, radii, depth, who.top, patches, flatness, flat_end=True)

    def _straps(self):
        if self.who.bag != 'backpack':
            return []
        return [
            Patch(0.05, 0.6, self.who.bag_colour, left, left + 0.25)
            for left in (-0.85, 0.6)
        ]

    def _add_head(self):
        who, pose = self.who, self.pose
        crown, chin = self.joints['crown'], self.joints['chin']
        heights = (0.2, 0.35, 0.5, 0.7, 0.85)
        axis = [crown + height * (chin - crown) for height in heights]
        radii = who.head * np.array([0.04, 0.047, 0.048, 0.043, 0.03])
        depth = self.trunk_depth + 0.003
        patches = _head_patches(who)
        base = who.skin if who.hair_style == 'bald' else who.hair
        self._add(axis, radii, depth, base, patches, 1.15, pose.turn)
        front = turned(np.array([0.0, 0.0, 1.0]), pose.yaw + pose.turn)
        surface = 0.052 * who.head * front
        nose = crown + 0.5 * (chin - crown) + surface
        if front[2] > -0.3:
            tip = crown + 0.62 * (chin - crown) + 1.1 * surface
            self._add([nose, tip], [0.006, 0.01], depth + 0.001, who.skin)
        self._add_hair(crown, chin, front, depth)

    def _add_hair(self, crown, chin, front, depth):
        who = self.who
        back = crown + 0.4 * (chin - crown) - 0.03 * front
        behind = depth - 0.02 * np.sign(front[2])
        fall = (self.joints['pelvis'] - self.joints['chest']) * 0.5
        if who.hair_style == 'long':
            points = [back, chin - 0.02 * front, chin - 0.05 * front + fall]
            self._add(points, [0.05, 0.056, 0.045], behind, who.hair)
        elif who.hair_style == 'tail':
            points = [back - 0.025 * front, chin - 0.06 * front + 0.6 * fall]
            self._add(points, [0.02, 0.014], behind, who.hair)
        elif who.hair_style == 'bun':
            points = [back - 0.035 * front - (0, 0.03, 0), back - 0.045 * front]
            self._add(points, [0.024, 0.024], behind, who.hair)
        elif who.hair_style == 'cap' and front[2] > -0.5:
            brim = crown + 0.34 * (chin - crown)
            points = [brim + 0.03 * front, brim + 0.085 * front]
            self._add(points, [0.03, 0.02], depth + 0.002, who.accent, flatness=0.3)

    def _add_bag(self):
        who, joints = self.who, self.joints
        chest, pelvis = joints['chest'], joints['pelvis']
        if who.bag == 'backpack':
            behind = -(who.depth + 0.035) * self.forward
            points = [chest + u * (pelvis - chest) + behind for u in (0.12, 0.75)]
            depth = self.trunk_depth - 0.1 * self.forward[2]
            pocket = (Patch(0.55, 0.95, who.accent, np.pi - 0.7, np.pi + 0.7),)
            self._add(points, [0.07, 0.08], depth, who.bag_colour, pocket, 0.6)
        elif who.bag == 'shoulder':
            near = np.array([0, 0, 0.06])  # the strap runs around; its near half shows
            hip = pelvis + 1.5 * (joints['hip_l'] - pelvis)
            strap = [chest + 0.6 * (joints['shoulder_r'] - chest) + near, hip + near]
            self._add(strap, [0.009] * 2, self.trunk_depth + 0.001, who.bag_colour)
            bag = [hip, hip + np.array([0, 0.07, 0])]
            depth = self.trunk_depth + np.sign(hip[2]) * 0.015
            self._add(bag, [0.03, 0.036], depth, who.bag_colour, flatness=2.2)
        elif who.bag == 'hand':
            hand, depth = joints['hand_l'], self._arm_depth('_l') - 0.001
            top, low = hand + (0, 0.06, 0), hand + (0, 0.14, 0)
            self._add([hand, top], [0.01, 0.01], depth, who.bag_colour)
            bag, radii = [top, low], [0.04, 0.055]
            self._add(bag, radii, depth, who.bag_colour, flatness=2, flat_end=True)


def _top_patches(who):
    pattern, accent = who.pattern, who.accent
    bands = [Patch(t, t + 0.085, accent) for t in np.arange(0.15, 0.95, 0.17)]
    bars = [
        Patch(0.08, 2, accent, angle, angle + 0.22)
        for angle in np.arange(-np.pi, np.pi - 0.1, np.pi / 5)
    ]
    if pattern == 'stripes':
        patches = bands
    elif pattern == 'vertical':
        patches = bars
    elif pattern == 'checks':
        patches = bands[::2] + bars[::2]
    elif pattern == 'block':
        patches = [Patch(0.5, 2, accent)]
    elif pattern == 'logo':
        patches = [Patch(0.28, 0.5, accent, -0.6, 0.6)]
    elif pattern == 'open':
        patches = [Patch(0.08, 2, accent, -0.3, 0.3)]
    else:
        patches = []
    collar = Patch(0.0, 0.1, who.skin, -0.5, 0.5)
    return [*patches, collar]


def _head_patches(who):
    dark = tuple(c // 2 for c in who.hair)
    lips = tuple(int(c * f) for c, f in zip(who.skin, (0.8, 0.55, 0.55), strict=True))
    hairline = -0.02 if who.hair_style in ('short', 'bald') else 0.06
    patches = [Patch(hairline, 2, who.skin, -1.2, 1.2)]
    if who.hair_style == 'short':
        patches.append(Patch(0.8, 2, who.skin))
    for eye in (-0.42, 0.42):
        patches.append(Patch(0.27, 0.32, dark, eye - 0.22, eye + 0.22))
        patches.append(Patch(0.38, 0.46, (40, 30, 30), eye - 0.13, eye + 0.13))
    patches.append(Patch(0.86, 0.93, lips, -0.28, 0.28))
    if who.hair_style == 'cap':
        patches.append(Patch(-1, 0.14, who.accent, width=1.08))
    return patches
