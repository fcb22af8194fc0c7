"""Clothes, faces and patterns: patches on the tubes of a body."""

import numpy as np

from .labels import Part
from .tubes import Patch
from .wardrobe import Outfit

LENS = (24, 24, 28)


def leg_patches(outfit: Outfit, lower_part: Part) -> list[Patch]:
    """Socks and trouser legs."""
    patches = []
    if outfit.sock < 1:
        patches.append(
            Patch(outfit.sock, 2, outfit.sock_color, width=1.06, part=Part.SOCKS)
        )
    if outfit.lower != 'skirt':
        length = 2.0 if outfit.bottom_length == 1 else outfit.bottom_length
        patches.append(Patch(-1, length, outfit.bottom, width=1.15, part=lower_part))
    return patches


def arm_patches(outfit: Outfit, top_part: Part) -> list[Patch]:
    """Gloves, and sleeves over them."""
    patches = []
    if outfit.gloves:
        patches.append(Patch(0.8, 2, outfit.woolen, width=1.2, part=Part.GLOVE))
    if outfit.sleeve:
        covered = 0.88 * outfit.sleeve
        sleeve = dict(width=1.18, part=top_part)
        patches.append(Patch(-1, covered, outfit.top, **sleeve))
        if outfit.pattern == 'stripes':
            patches += [
                Patch(start, start + 0.08, outfit.accent, **sleeve)
                for start in np.arange(0.04, covered - 0.04, 0.16)
            ]
    return patches


def top_patches(outfit: Outfit) -> list[Patch]:
    """Pattern of the top, the shirt under an open coat, collar, scarf and straps."""
    pattern, accent = outfit.pattern, outfit.accent
    patches = []
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
    if outfit.upper == 'coat':
        patches = [Patch(0.05, 2, accent, -0.34, 0.34, part=Part.UPPER_CLOTHES)]
    patches.append(Patch(0.0, 0.1, outfit.skin, -0.5, 0.5, part=Part.FACE))
    if outfit.scarf:
        patches.append(Patch(-0.05, 0.55, outfit.woolen, 0.1, 0.55, part=Part.SCARF))
    if outfit.bag == 'backpack':
        patches += [
            Patch(0.05, 0.6, outfit.extra, left, left + 0.25) for left in (-0.85, 0.6)
        ]
    return patches


def head_patches(outfit: Outfit) -> list[Patch]:
    """Face, eyes or sunglasses, mouth, hat."""
    dark = tuple(c // 2 for c in outfit.hair)
    red = zip(outfit.skin, (0.8, 0.55, 0.55), strict=True)
    lips = tuple(int(c * f) for c, f in red)
    face = dict(part=Part.FACE)
    hairline = -0.02 if outfit.hair_style in ('short', 'bald') else 0.06
    patches = [Patch(hairline, 2, outfit.skin, -1.2, 1.2, **face)]
    if outfit.hair_style == 'short':
        patches.append(Patch(0.8, 2, outfit.skin, **face))
    for eye in (-0.42, 0.42):
        patches.append(Patch(0.27, 0.32, dark, eye - 0.22, eye + 0.22, **face))
        patches.append(Patch(0.38, 0.46, (40, 30, 30), eye - 0.13, eye + 0.13, **face))
    patches.append(Patch(0.86, 0.93, lips, -0.28, 0.28, **face))
    if outfit.sunglasses:
        glass = dict(part=Part.SUNGLASSES)
        patches.append(Patch(0.36, 0.42, LENS, -1.5, 1.5, **glass))
        patches.append(Patch(0.36, 0.56, LENS, -0.85, 0.85, **glass))
    if outfit.hat != 'none':
        low, width = (0.18, 1.08) if outfit.hat == 'cap' else (0.26, 1.14)
        hat = dict(part=Part.HAT, width=width)
        patches.append(Patch(-1, low, outfit.woolen, **hat))
        if outfit.hat == 'cap':
            shade = tuple(c * 3 // 4 for c in outfit.woolen)
            patches.append(Patch(low - 0.04, low + 0.05, shade, -0.9, 0.9, **hat))
    return patches
