"""What a synthetic person looks like: skin, hair, clothes and things carried.

Few colors are shared by many people, so that it takes more than colors, namely what
is worn where, to tell them apart.
"""

from dataclasses import astuple, dataclass

import numpy as np

from .body import Body, draw_body

Color = tuple[int, int, int]

SKINS = ((228, 192, 166), (206, 158, 124), (152, 104, 74), (98, 64, 46))
HAIRS = ((30, 26, 26), (84, 56, 38), (196, 162, 106), (150, 148, 146))
BLACK, WHITE, GRAY = (34, 34, 38), (228, 226, 220), (126, 128, 132)
NAVY, BLUE, RED = (38, 50, 90), (78, 122, 178), (168, 42, 46)
GREEN, SAND, BROWN = (70, 108, 66), (190, 166, 126), (104, 72, 52)
TOPS = (BLACK, WHITE, GRAY, BLUE, RED, GREEN, SAND)
BOTTOMS = (BLACK, GRAY, NAVY, SAND)
EXTRAS = (BLACK, WHITE, RED, BLUE, BROWN)  # bags, hats, scarfs, gloves
SHOES = (BLACK, WHITE, BROWN)
HAIR_STYLES = ('short', 'short', 'long', 'tail', 'bun', 'bald')
PATTERNS = ('plain', 'plain', 'stripes', 'block', 'logo', 'vertical', 'checks')
ATTRIBUTES = (
    'hat',
    'sunglasses',
    'long hair',
    'scarf',
    'long sleeves',
    'patterned top',
    'coat',
    'skirt or dress',
    'shorts',
    'gloves',
    'backpack',
    'shoulder or hand bag',
)


@dataclass(frozen=True)
class Outfit:
    """Looks that all images of one person share."""

    skin: Color
    hair: Color
    hair_style: str
    hat: str  # none, cap or beanie
    sunglasses: bool
    upper: str  # shirt, coat (open, over a shirt), dress or jumpsuit
    top: Color
    accent: Color  # second color of the top; the shirt below a coat
    pattern: str
    sleeve: float  # covered part of the arm
    hem: float  # how far the top reaches below the hip joints
    lower: str  # trousers, shorts or skirt
    bottom: Color
    bottom_length: float  # covered part of the leg
    sock: float  # where on the leg socks begin; 1 is none
    sock_color: Color
    shoes: Color
    bag: str  # none, backpack, shoulder or hand
    extra: Color  # of the bag
    scarf: bool
    gloves: bool
    woolen: Color  # of hat, scarf and gloves


class Identity:
    """A person: body and outfit, which all their images share."""

    def __init__(self, number: int, body: Body, outfit: Outfit):
        self.number, self.body, self.outfit = number, body, outfit

    @property
    def attributes(self) -> np.ndarray:
        """Which of ``ATTRIBUTES`` the person has, bool [12]."""
        worn = self.outfit
        skirt = worn.lower == 'skirt'
        return np.array(
            [
                worn.hat != 'none',
                worn.sunglasses,
                worn.hair_style in ('long', 'tail'),
                worn.scarf,
                worn.sleeve > 0.5,
                worn.pattern != 'plain',
                worn.upper == 'coat',
                skirt,
                worn.lower == 'shorts',
                worn.gloves,
                worn.bag == 'backpack',
                worn.bag in ('shoulder', 'hand'),
            ]
        )

    @property
    def measurements(self) -> np.ndarray:
        """The fields of ``Body``, float32 [8]."""
        return np.array(astuple(self.body), np.float32)


def draw_identity(rng: np.random.Generator, number: int) -> Identity:
    """Draw a person, and give them a number."""
    return Identity(number, draw_body(rng), draw_outfit(rng))


def draw_outfit(rng: np.random.Generator) -> Outfit:
    """Draw skin, hair, clothes and things carried."""

    def pick(options):
        return options[rng.integers(len(options))]

    def chance(rate):
        return bool(rng.random() < rate)

    top, accent = (TOPS[i] for i in rng.choice(len(TOPS), 2, replace=False))
    upper = pick(('shirt',) * 6 + ('coat',) * 2 + ('dress', 'jumpsuit'))
    lower = pick(('trousers',) * 5 + ('shorts',) * 2 + ('skirt',) * 2)
    lower = {'dress': 'skirt', 'jumpsuit': 'trousers'}.get(upper, lower)
    pattern, sleeve = pick(PATTERNS), pick((0.0, 0.36, 0.36, 0.92, 0.92, 0.92))
    hem = pick((0.01, 0.03, 0.05, 0.14))
    if upper == 'coat':
        pattern, sleeve, hem = 'plain', 0.92, rng.uniform(0.1, 0.26)
    length = rng.uniform(0.38, 0.66)
    one_piece = upper in ('dress', 'jumpsuit')
    return Outfit(
        skin=pick(SKINS),
        hair=pick(HAIRS),
        hair_style=pick(HAIR_STYLES),
        hat=pick(('none',) * 5 + ('cap', 'beanie')),
        sunglasses=chance(0.2),
        upper=upper,
        top=top,
        accent=accent,
        pattern=pattern,
        sleeve=sleeve,
        hem=0.02 if one_piece else hem,
        lower=lower,
        bottom=top if one_piece else pick(BOTTOMS),
        bottom_length=1.0 if lower == 'trousers' else length,
        sock=rng.uniform(0.7, 0.95) if chance(0.5) else 1.0,
        sock_color=pick((WHITE, BLACK, RED)),
        shoes=pick(SHOES),
        bag=pick(('none',) * 4 + ('backpack',) * 2 + ('shoulder', 'hand')),
        extra=pick(EXTRAS),
        scarf=chance(0.2),
        gloves=chance(0.2),
        woolen=pick(EXTRAS),
    )
