"""Looks of a drawn person: skin, hair, clothes and bags, and their patches.

Many people share a few colors: telling people apart takes more than colors, namely what
is worn where.
"""

import numpy as np

from .labels import Part
from .tubes import Patch

SKINS = ((228, 192, 166), (206, 158, 124), (152, 104, 74), (98, 64, 46))
HAIRS = ((30, 26, 26), (84, 56, 38), (196, 162, 106), (150, 148, 146))
BLACK, WHITE, GRAY = (34, 34, 38), (228, 226, 220), (126, 128, 132)
NAVY, BLUE, RED = (38, 50, 90), (78, 122, 178), (168, 42, 46)
GREEN, SAND, BROWN = (70, 108, 66), (190, 166, 126), (104, 72, 52)
TOP_PARTS = dict(shirt=Part.UPPER_CLOTHES, coat=Part.COAT, dress=Part.DRESS)
TOP_PARTS['jumpsuit'] = Part.JUMPSUITS
LENS = (24, 24, 28)
TOPS = (BLACK, WHITE, GRAY, BLUE, RED, GREEN, SAND)
BOTTOMS = (BLACK, GRAY, NAVY, SAND)
EXTRAS = (BLACK, WHITE, RED, BLUE, BROWN)  # bags, hats, scarves, gloves
SHOES = (BLACK, WHITE, BROWN)
HAIR_STYLES = ('short', 'short', 'long', 'tail', 'bun', 'bald')
PATTERNS = ('plain', 'plain', 'stripes', 'block', 'logo', 'vertical', 'checks')


class Outfit:
    """Looks that all images of a person share."""

    def __init__(self, rng: np.random.Generator):
        def pick(options):
            return options[rng.integers(len(options))]

        # The accent is the second color of the top, or that of the shirt below a coat.
        colors = rng.choice(len(TOPS), 2, replace=False)
        self.top, self.accent = (TOPS[i] for i in colors)
        self.upper = pick(('shirt',) * 6 + ('coat',) * 2 + ('dress', 'jumpsuit'))
        one_piece = self.upper in ('dress', 'jumpsuit')
        self.lower = pick(('trousers',) * 5 + ('shorts',) * 2 + ('skirt',) * 2)
        if one_piece:
            self.lower = 'skirt' if self.upper == 'dress' else 'trousers'
        self.top_part = self.lower_part = TOP_PARTS[self.upper]
        if not one_piece:
            self.lower_part = Part.SKIRT if self.lower == 'skirt' else Part.PANTS
        self.pattern = pick(PATTERNS)
        # The covered part of the arm.
        self.sleeve = pick((0.0, 0.36, 0.36, 0.92, 0.92, 0.92))
        self.hem = pick((0.01, 0.03, 0.05, 0.14))  # of the top, below the hip joints
        if self.upper == 'coat':  # open, over a shirt
            self.pattern, self.sleeve, self.hem = 'plain', 0.92, rng.uniform(0.1, 0.26)
        elif one_piece:
            self.hem = 0.02
        length = rng.uniform(0.38, 0.66)
        self.bottom_length = 1.0 if self.lower == 'trousers' else length  # of the leg
        self.skin, self.hair = pick(SKINS), pick(HAIRS)
        self.hair_style = pick(HAIR_STYLES)
        self.seen_hair = None if self.hair_style == 'bald' else self.hair
        self.hat = pick(('none',) * 5 + ('cap', 'beanie'))
        self.sunglasses = rng.random() < 0.2
        self.bottom = self.top if one_piece else pick(BOTTOMS)
        # Where on the leg socks begin; 1 is none.
        self.sock = rng.uniform(0.7, 0.95) if rng.random() < 0.5 else 1.0
        self.sock_color, self.shoes = pick((WHITE, BLACK, RED)), pick(SHOES)
        self.bag = pick(('none',) * 4 + ('backpack',) * 2 + ('shoulder', 'hand'))
        self.extra = pick(EXTRAS)  # of the bag
        self.scarf, self.gloves = rng.random() < 0.2, rng.random() < 0.2
        self.woolen = pick(EXTRAS)  # hat, scarf and gloves


def leg_patches(outfit: Outfit) -> list[Patch]:
    """Return socks and trouser legs."""
    patches = []
    if outfit.sock < 1:
        sock = dict(width=1.06, part=Part.SOCKS)
        patches.append(Patch(outfit.sock, 2, outfit.sock_color, **sock))
    if outfit.lower != 'skirt':
        length = 2.0 if outfit.bottom_length == 1 else outfit.bottom_length
        patches.append(
            Patch(-1, length, outfit.bottom, width=1.15, part=outfit.lower_part)
        )
    return patches


def arm_patches(outfit: Outfit) -> list[Patch]:
    """Return gloves, and sleeves over them."""
    patches = []
    if outfit.gloves:
        patches.append(Patch(0.8, 2, outfit.woolen, width=1.2, part=Part.GLOVE))
    if outfit.sleeve:
        covered, sleeve = 0.88 * outfit.sleeve, dict(width=1.18, part=outfit.top_part)
        patches.append(Patch(-1, covered, outfit.top, **sleeve))
        if outfit.pattern == 'stripes':
            for start in np.arange(0.04, covered - 0.04, 0.16):
                patches.append(Patch(start, start + 0.08, outfit.accent, **sleeve))
    return patches


def top_patches(outfit: Outfit) -> list[Patch]:
    """Return the top's pattern or the shirt under a coat, collar, scarf and straps."""
    accent = outfit.accent
    bands = [Patch(t, t + 0.085, accent) for t in np.arange(0.15, 0.95, 0.17)]
    angles = np.arange(-np.pi, np.pi - 0.1, np.pi / 5)
    bars = [Patch(0.08, 2, accent, angle, angle + 0.22) for angle in angles]
    patches = dict(
        plain=[],
        stripes=bands,
        vertical=bars,
        checks=bands[::2] + bars[::2],
        block=[Patch(0.5, 2, accent)],
        logo=[Patch(0.28, 0.5, accent, -0.6, 0.6)],
    )[outfit.pattern]
    if outfit.upper == 'coat':
        patches.append(Patch(0.05, 2, accent, -0.34, 0.34, part=Part.UPPER_CLOTHES))
    patches.append(Patch(0.0, 0.1, outfit.skin, -0.5, 0.5, part=Part.FACE))
    if outfit.scarf:
        patches.append(Patch(-0.05, 0.55, outfit.woolen, 0.1, 0.55, part=Part.SCARF))
    if outfit.bag == 'backpack':
        for left in (-0.85, 0.6):
            patches.append(Patch(0.05, 0.6, outfit.extra, left, left + 0.25))
    return patches


def head_patches(outfit: Outfit) -> list[Patch]:
    """Return face, eyes or sunglasses, mouth and hat."""
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
        for low, side in ((0.42, 1.5), (0.56, 0.85)):
            patches.append(Patch(0.36, low, LENS, -side, side, part=Part.SUNGLASSES))
    if outfit.hat != 'none':
        low, width = (0.18, 1.08) if outfit.hat == 'cap' else (0.26, 1.14)
        hat = dict(part=Part.HAT, width=width)
        patches.append(Patch(-1, low, outfit.woolen, **hat))
        if outfit.hat == 'cap':
            shade = tuple(c * 3 // 4 for c in outfit.woolen)
            patches.append(Patch(low - 0.04, low + 0.05, shade, -0.9, 0.9, **hat))
    return patches
