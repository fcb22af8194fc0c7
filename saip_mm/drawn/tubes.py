"""Shaded tubes, of which drawn people consist.

A tube is a line of elliptical cross-sections. Clothes, faces and patterns are patches
in a tube's own coordinates: position along it and angle around it, where 0 is the
front. They turn with the person and vanish behind the edge.
"""

import bisect
import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from .labels import Color, Part, Tag

UNLABELED = Tag()
NEUTRAL = 160  # value of the shade map that leaves a color as it is
EDGE, MIDDLE, HIGHLIGHT = 108, 148, 172  # shades across a tube
SUBPIXEL_BITS = 4
ROUND_END = np.array([[0.6], [0.95]])  # sections beyond an end, in radii
ROUND_WIDTH = np.array([[0.8], [0.31]])
FLAT_END, FLAT_WIDTH = np.zeros((2, 1)), np.ones((2, 1))


class Canvas:
    """An image, its shades and its labels.

    Args:
        image: uint8 RGB [H, W, 3]; is painted on.
        labeled: Whether to keep a ``Tag`` per pixel in ``labels``, uint8 [H, W, 3].
    """

    def __init__(self, image: np.ndarray, labeled: bool = False):
        self.image = image
        self.shade = np.full(image.shape[:2], NEUTRAL, np.uint8)
        self.labels = np.zeros(image.shape, np.uint8) if labeled else None

    def color(self, polygon: np.ndarray, color: Color, tag: Tag = UNLABELED) -> None:
        """Fill a polygon [n, 2] of (x, y) pixels with a color."""
        points = _fixed_point(polygon)
        cv2.fillPoly(self.image, points, color, cv2.LINE_AA, SUBPIXEL_BITS)
        if self.labels is not None:
            cv2.fillPoly(self.labels, points, tag, cv2.LINE_8, SUBPIXEL_BITS)

    def light(self, polygon: np.ndarray, shade: int) -> None:
        """Set the shade in a polygon [n, 2] of (x, y) pixels."""
        points = _fixed_point(polygon)
        cv2.fillPoly(self.shade, points, shade, cv2.LINE_AA, SUBPIXEL_BITS)

    def develop(self, softness: float, contrast: float = 1.0) -> np.ndarray:
        """Return colors times shades, uint8 [H, W, 3].

        Args:
            softness: Blur of the shades, in pixels.
            contrast: From 0 (flat light) to 1 (bright day).
        """
        shade = cv2.GaussianBlur(self.shade, (0, 0), max(softness, 0.3))
        shade = cv2.addWeighted(shade, contrast, shade, 0, NEUTRAL * (1 - contrast))
        return cv2.multiply(self.image, cv2.merge([shade] * 3), scale=1 / NEUTRAL)


def _fixed_point(polygon):
    return [np.rint(polygon * (1 << SUBPIXEL_BITS)).astype(np.int32)]


class Patch(NamedTuple):
    """A colored piece of a tube; angles from -pi to pi cover all around."""

    start: float  # along the tube; below 0 and above 1 include the round ends
    end: float
    color: Color
    left: float = -math.pi
    right: float = math.pi
    width: float = 1.0  # of loose clothes, relative to the tube
    part: Part | None = None  # None: that of the tube


class Tube:
    """A tube around a line of pixels, with round ends (or a flat last one).

    ``sections`` [n + 4, 2, 2] holds centers and sides in pixels: center + u * side is
    inside for u in [-1, 1].

    Args:
        points: Centers [n, 2] in pixels, n > 1; ``radii`` [n] are half widths there,
            ``along`` their positions from 0 to 1.
        facing: Angle by which the front is turned away from the camera.
        depth: Larger is nearer.
    """

    def __init__(
        self,
        points: np.ndarray,
        radii: np.ndarray,
        along: Sequence[float],
        facing: float,
        depth: float,
        color: Color,
        tag: Tag = UNLABELED,
        patches: Sequence[Patch] = (),
        flat_end: bool = False,
    ):
        self.along = [-0.1, -0.05, *along, 1.05, 1.1]
        self.facing, self.depth, self.color = facing, depth, color
        self.tag, self.patches = tag, patches
        # The tiny downward part gives a tube that points at the camera a direction.
        steps = _unit(points[1:] - points[:-1] + (0, 1e-3))
        tangent = _unit(np.concatenate([steps[:1], steps[1:] + steps[:-1], steps[-1:]]))
        tail, width = (FLAT_END, FLAT_WIDTH) if flat_end else (ROUND_END, ROUND_WIDTH)
        self.sections = np.empty((len(points) + 4, 2, 2))
        center, side = self.sections[:, 0], self.sections[:, 1]
        side[2:-2, 0] = tangent[:, 1] * radii
        side[2:-2, 1] = -tangent[:, 0] * radii
        side[:2], side[-2:] = ROUND_WIDTH[::-1] * side[2], width * side[-3]
        center[:2] = points[0] - ROUND_END[::-1] * tangent[0] * radii[0]
        center[2:-2] = points
        center[-2:] = points[-1] + tail * tangent[-1] * radii[-1]

    def paint(self, canvas: Canvas, light: float) -> None:
        """Paint colors and shades; light in [-1, 1] is the side it comes from."""
        patches = [(patch, self.across(patch)) for patch in self.patches]
        patches = [(patch, u) for patch, u in patches if u is not None]
        widest = max([1.0, *(patch.width for patch, _ in patches)])
        halves = np.array([widest, 0.72, 0.35])
        middles = 0.5 * light * (widest - halves)
        edges = np.stack([middles - halves, middles + halves], axis=1)
        # Polygons [4, m, 2] of the whole tube between edges across it.
        center, side = self.sections[:, 0], self.sections[:, 1]
        edges = np.concatenate([[[-1.0, 1.0]], edges])
        left, right = (center + u[:, None, None] * side for u in edges.T)
        outline, *bands = np.concatenate([left, right[:, ::-1]], axis=1)
        canvas.color(outline, self.color, self.tag)
        for patch, u in patches:
            own = patch.part is None
            tag = self.tag if own else self.tag._replace(part=patch.part)
            canvas.color(self._outline(patch.start, patch.end, *u), patch.color, tag)
        for band, shade in zip(bands, (EDGE, MIDDLE, HIGHLIGHT), strict=True):
            canvas.light(band, shade)

    def across(self, patch: Patch) -> tuple[float, float] | None:
        """Return the visible u range of a patch, or None if it faces away.

        A point at angle a of an elliptical section lies at u = sin(a + facing) and is
        visible if cos(a + facing) > 0.
        """
        half = (patch.right - patch.left) / 2
        if half >= math.pi:
            return -patch.width, patch.width
        middle = (patch.left + patch.right) / 2 + self.facing
        middle = (middle + math.pi) % (2 * math.pi) - math.pi
        left, right = max(middle - half, -math.pi / 2), min(middle + half, math.pi / 2)
        if left >= right:
            return None
        return patch.width * math.sin(left), patch.width * math.sin(right)

    def _outline(self, start, end, left, right):
        """Polygon [m, 2] of a stretch along the tube, between two u across it."""
        along, stretch = self.along, self.sections
        if start > along[0] or end < along[-1]:
            i, j = bisect.bisect_right(along, start), bisect.bisect_left(along, end)
            ends = self._section(start)[None], self._section(end)[None]
            stretch = np.concatenate([ends[0], stretch[i:j], ends[1]])
        center, side = stretch[:, 0], stretch[:, 1]
        return np.concatenate([center + left * side, (center + right * side)[::-1]])

    def _section(self, at):
        at = min(max(at, self.along[0]), self.along[-1])
        i = min(bisect.bisect_right(self.along, at), len(self.along) - 1)
        weight = (at - self.along[i - 1]) / (self.along[i] - self.along[i - 1])
        before, after = self.sections[i - 1], self.sections[i]
        return before + weight * (after - before)


def _unit(vectors):
    return vectors / (np.sqrt((vectors**2).sum(axis=1, keepdims=True)) + 1e-6)
