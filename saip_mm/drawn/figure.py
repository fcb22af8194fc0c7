"""A drawn person, dressed and placed in an image."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .body import Body, Pose, skeleton, turned
from .labels import Color, Limb, Part, Tag
from .tubes import NEUTRAL, Canvas, Patch, Tube
from .wardrobe import Outfit, arm_patches, head_patches, leg_patches, top_patches

SIDES = {'_l': 'LEFT', '_r': 'RIGHT'}
KNEES_UP = 0.12  # a thigh that points at the camera by more hides the trunk
SOLE = np.array([0.0, 0.008, 0.0])  # below ankle and toe
# Half widths of the head at heights from the crown (0) to the chin (1).
HEAD = {0.2: 0.04, 0.35: 0.047, 0.5: 0.048, 0.7: 0.043, 0.85: 0.03}
DEEPER = 1.15  # depth of the head, relative to its width


class Identity(NamedTuple):
    """A person."""

    number: int
    body: Body
    outfit: Outfit


class Figure:
    """A person in an image.

    Args:
        who: The person.
        pose: Their pose.
        foot: (x, y) pixels on the ground below the pelvis.
        height: Pixels of an upright person of stature 1.
        tilt: Radians that the camera looks down.
        number: Label of this person's pixels; not 0.
    """

    def __init__(
        self,
        who: Identity,
        pose: Pose,
        foot: tuple[float, float],
        height: float,
        tilt: float = 0.0,
        number: int = 1,
    ):
        self.who, self.pose, self.tilt, self.number = who, pose, tilt, number
        self.body, self.outfit = who.body, who.outfit
        self.foot, self.scale = np.array(foot), height * who.body.stature
        self.joints = skeleton(who.body, pose)
        self.forward = turned(np.array([0.0, 0.0, 1.0]), pose.yaw)
        self.tubes: list[Tube] = []
        hips = abs(self.joints['hip_l'][2])
        self.trunk_depth = hips + 0.02  # over both legs, behind the nearer arm
        for side in SIDES:
            self._add_leg(side)
            self._add_arm(side)
        self._add_trunk()
        self._add_head()
        self._add_bag()

    def paint(self, canvas: Canvas, light: float = 0.0) -> None:
        """Paint shadow and seat, then the parts, the farthest first.

        light in [-1, 1]: where it comes from, left to right.
        """
        self._paint_shadow(canvas, light)
        # Seen from behind, a seat hides the legs.
        hides_legs = self.forward[2] < -0.3
        seat_depth = self.trunk_depth - 0.003 if hides_legs else -np.inf
        seat_waits = self.pose.seated
        for tube in sorted(self.tubes, key=lambda tube: tube.depth):
            if seat_waits and tube.depth > seat_depth:
                self._paint_seat(canvas)
                seat_waits = False
            tube.paint(canvas, light)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Return pixels [n, 2] of body points [n, 3]; orthographic, tilted."""
        x, y, z = points.T
        down = y * math.cos(self.tilt) + z * math.sin(self.tilt)
        return self.foot + self.scale * np.array([x, down]).T

    def _paint_shadow(self, canvas, light):
        toes = np.stack([self.joints['toe_l'], self.joints['toe_r']])
        x = self.project(toes)[:, 0]
        wide = np.ptp(x) / 2 + 0.1 * self.scale
        below = self.scale * math.sin(self.tilt) * toes[:, 2].mean()
        middle = x.mean() - 0.08 * light * self.scale, self.foot[1] + below
        angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        ring = np.stack([wide * np.cos(angle), 0.02 * self.scale * np.sin(angle)], 1)
        canvas.light(ring + middle, 100)

    def _paint_seat(self, canvas):
        x, y = self.project(self.joints['pelvis'][None])[0]
        half, top = 0.13 * self.scale, y + self.body.hip * self.scale
        box = np.array([[-1, 0], [1, 0], [1, 1], [-1, 1]])
        size = np.array([half, max(self.foot[1] - top, 1)])
        gray = (self.who.number * 37) % 70 + 40
        canvas.color(box * size + (x, top), (gray, gray, gray - 10))
        canvas.light(box * size + (x, top), NEUTRAL)
        canvas.color(box * (half, 0.03 * self.scale) + (x, top), (gray + 30,) * 3)

    def _add(
        self,
        points: Sequence[np.ndarray],
        radii: Sequence[float],
        depth: float,
        color: Color,
        part: Part = Part.BACKGROUND,
        limb: Limb = Limb.NONE,
        patches: Sequence[Patch] = (),
        flatness: float = 1.0,
        turn: float = 0.0,
        flat_end: bool = False,
    ):
        """Add a tube along body points.

        radii: half widths seen from the front; times flatness, seen from the side.
        turn: yaw relative to the body.
        """
        points, yaw = np.array(points), self.pose.yaw + turn
        cos, sin = math.cos(yaw), flatness * math.sin(yaw)
        lengths = np.sqrt(((points[1:] - points[:-1]) ** 2).sum(axis=1)) + 1e-6
        along = [0.0, *(np.cumsum(lengths) / lengths.sum()).tolist()]
        radii = np.array(radii) * (self.scale * math.hypot(cos, sin))
        tag = Tag(part, self.number, limb) if part else Tag()
        look = (math.atan2(sin, cos), depth, color, tag, patches, flat_end)
        self.tubes.append(Tube(self.project(points), radii, along, *look))

    def _joints(self, side, names):
        return [self.joints[name + side] for name in names.split()]

    def _add_leg(self, side):
        limb, skin = (labels[f'{SIDES[side]}_LEG'] for labels in (Limb, Part))
        shoe, outfit = Part[f'{SIDES[side]}_SHOE'], self.outfit
        hip, knee, ankle, toe = self._joints(side, 'hip knee ankle toe')
        depth = hip[2] + 0.02 * (knee[2] + ankle[2])
        if knee[2] - hip[2] > KNEES_UP and outfit.lower != 'skirt':
            depth = self.trunk_depth + 0.0005
        points = [hip, hip + 0.6 * (knee - hip), knee]
        points += [knee + 0.35 * (ankle - knee), ankle]
        radii = self.body.girth * np.array([0.052, 0.045, 0.034, 0.034, 0.02])
        patches = leg_patches(outfit)
        self._add(points, radii, depth, outfit.skin, skin, limb, patches)
        foot = [ankle - 0.12 * (toe - ankle) + SOLE, toe + SOLE]
        self._add(foot, [0.023, 0.019], depth + 0.001, outfit.shoes, shoe, limb)

    def _add_arm(self, side):
        limb, skin = (labels[f'{SIDES[side]}_ARM'] for labels in (Limb, Part))
        shoulder, elbow, wrist, hand = self._joints(side, 'shoulder elbow wrist hand')
        points = [shoulder, elbow, elbow + 0.3 * (wrist - elbow), wrist, hand]
        radii = self.body.girth * np.array([0.031, 0.024, 0.024, 0.016, 0.014])
        patches = arm_patches(self.outfit)
        depth = self._arm_depth(side)
        self._add(points, radii, depth, self.outfit.skin, skin, limb, patches)

    def _arm_depth(self, side):
        depth = sum(at[2] for at in self._joints(side, 'shoulder elbow wrist')) / 3
        # An arm that hangs beside the trunk is seen in front of it, from both sides.
        return depth + self.trunk_depth * (depth > -0.03)

    def _add_trunk(self):
        body, outfit, joints = self.body, self.outfit, self.joints
        chest, pelvis, depth = joints['chest'], joints['pelvis'], self.trunk_depth
        flat = dict(flatness=body.depth / body.waist, flat_end=True)
        down = pelvis - chest
        below = (joints['knee_l'] + joints['knee_r']) / 2 - pelvis
        hem, radii = pelvis + 0.1 * below, [body.waist, body.hip, body.hip * 0.9]
        if outfit.lower == 'skirt':
            hem = pelvis + 2 * outfit.bottom_length * below
            spread = 0.6 * np.ptp([joints['knee_l'][0], joints['knee_r'][0]])
            radii[2] = max(body.hip * 1.25, spread)
        points = [chest + 0.8 * down, pelvis, hem]
        lower = (outfit.bottom, outfit.lower_part, Limb.TRUNK)
        self._add(points, radii, depth - 0.002, *lower, **flat)
        neck = [joints['chin'] - 0.05 * down, chest]
        skin = (outfit.skin, Part.FACE, Limb.TRUNK)
        self._add(neck, [0.028, 0.032], depth - 0.001, *skin)
        points = [chest + t * down for t in (-0.09, 0.0, 0.08, 0.35, 0.68, 0.97)]
        points.append(pelvis + outfit.hem * below / np.linalg.norm(below))
        radii = [0.04, body.shoulder * 0.86, body.shoulder, body.shoulder * 0.93]
        radii += [body.waist, body.hip * 1.03, body.hip * (1.05 + outfit.hem)]
        top = (outfit.top, outfit.top_part, Limb.TRUNK, top_patches(outfit))
        self._add(points, radii, depth, *top, **flat)
        if outfit.scarf:
            ring = [chest - 0.13 * down, chest - 0.05 * down]
            wool = (outfit.woolen, Part.SCARF, Limb.TRUNK)
            self._add(ring, [0.046, 0.05], depth + 0.002, *wool)

    def _add_head(self):
        body, outfit, pose = self.body, self.outfit, self.pose
        crown, chin = self.joints['crown'], self.joints['chin']
        axis = [crown + height * (chin - crown) for height in HEAD]
        radii = body.head * np.array([*HEAD.values()])
        depth = self.trunk_depth + 0.003
        skin = (outfit.skin, Part.FACE, Limb.HEAD)
        hair = (outfit.hair, Part.HAIR, Limb.HEAD)
        base = skin if outfit.hair_style == 'bald' else hair
        look = head_patches(outfit), DEEPER, pose.turn
        self._add(axis, radii, depth, *base, *look)
        front = turned(np.array([0.0, 0.0, 1.0]), pose.yaw + pose.turn)
        surface = 0.052 * body.head * front
        if front[2] > -0.3:
            nose = crown + 0.5 * (chin - crown) + surface
            tip = crown + 0.62 * (chin - crown) + 1.1 * surface
            self._add([nose, tip], [0.006, 0.01], depth + 0.001, *skin)
        if outfit.hat == 'cap' and front[2] > -0.5:
            brim = crown + 0.3 * (chin - crown)
            points = [brim + 0.03 * front, brim + 0.09 * front + (0, 0.008, 0)]
            cap = (outfit.woolen, Part.HAT, Limb.HEAD)
            self._add(points, [0.012, 0.007], depth + 0.002, *cap)
        self._add_hair(crown, chin, front, depth - 0.02 * np.sign(front[2]))

    def _add_hair(self, crown, chin, front, behind):
        style, hair = self.outfit.hair_style, (self.outfit.hair, Part.HAIR)
        back = crown + 0.4 * (chin - crown) - 0.03 * front
        fall = (self.joints['pelvis'] - self.joints['chest']) * 0.5
        if style == 'long':
            points = [back, chin - 0.02 * front, chin - 0.05 * front + fall]
            self._add(points, [0.05, 0.056, 0.045], behind, *hair)
        elif style == 'tail':
            points = [back - 0.025 * front, chin - 0.06 * front + 0.6 * fall]
            self._add(points, [0.02, 0.014], behind, *hair)
        elif style == 'bun':
            points = [back - 0.035 * front - (0, 0.03, 0), back - 0.045 * front]
            self._add(points, [0.024, 0.024], behind, *hair)

    def _add_bag(self):
        color, joints, depth = self.outfit.extra, self.joints, self.trunk_depth
        chest, pelvis = joints['chest'], joints['pelvis']
        if self.outfit.bag == 'backpack':
            behind = -(self.body.depth + 0.035) * self.forward
            points = [chest + u * (pelvis - chest) + behind for u in (0.12, 0.75)]
            depth -= 0.1 * self.forward[2]
            pocket = Patch(0.55, 0.95, self.outfit.accent, np.pi - 0.7, np.pi + 0.7)
            look = dict(patches=(pocket,), flatness=0.6)
            self._add(points, [0.07, 0.08], depth, color, **look)
        elif self.outfit.bag == 'shoulder':
            near = np.array([0, 0, 0.06])  # only the near half of the strap is seen
            hip = pelvis + 1.5 * (joints['hip_l'] - pelvis)
            strap = [chest + 0.6 * (joints['shoulder_r'] - chest) + near, hip + near]
            self._add(strap, [0.009] * 2, depth + 0.001, color)
            bag, depth = [hip, hip + (0, 0.07, 0)], depth + np.sign(hip[2]) * 0.015
            self._add(bag, [0.03, 0.036], depth, color, flatness=2.2)
        elif self.outfit.bag == 'hand':
            hand, depth = joints['hand_l'], self._arm_depth('_l') - 0.001
            top, low = hand + (0, 0.06, 0), hand + (0, 0.14, 0)
            self._add([hand, top], [0.01, 0.01], depth, color)
            shape = dict(flatness=2, flat_end=True)
            self._add([top, low], [0.04, 0.055], depth, color, **shape)
