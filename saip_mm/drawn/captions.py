"""Sentences about drawn people, true in varied words."""

import numpy as np

from .person import Person
from .wardrobe import BLACK, BLUE, BROWN, GRAY, GREEN, HAIRS, NAVY, RED, SAND, WHITE

COLORS = {
    BLACK: ('black', 'dark'),
    WHITE: ('white', 'off-white'),
    GRAY: ('gray', 'grey'),
    NAVY: ('navy', 'dark blue'),
    BLUE: ('blue', 'light blue'),
    RED: ('red', 'crimson'),
    GREEN: ('green', 'olive'),
    SAND: ('beige', 'sand-colored'),
    BROWN: ('brown', 'dark brown'),
    **dict(zip(HAIRS, (('black',), ('brown',), ('blond',), ('gray',)), strict=True)),
}
GARMENTS = dict(
    shirt=('shirt', 'top'),
    coat=('coat', 'open coat'),
    dress=('dress',),
    jumpsuit=('jumpsuit', 'overall'),
    trousers=('trousers', 'pants'),
    shorts=('shorts', 'short pants'),
    skirt=('skirt',),
)
PATTERNS = dict(
    plain=('',),
    stripes=(' with {} stripes', ' striped in {}'),
    vertical=(' with vertical {} stripes',),
    checks=(' with {} checks', ' checked in {}'),
    block=(' with a {} lower half', ' that is {} below the chest'),
    logo=(' with a {} logo', ' with a {} print on the chest'),
)
HAIR_STYLES = dict(
    short=('short {} hair',),
    long=('long {} hair', '{} hair down to the shoulders'),
    tail=('a {} ponytail', '{} hair in a ponytail'),
    bun=('a {} bun', '{} hair in a bun'),
    bald=('no hair', 'a bald head'),
)
BAGS = dict(
    backpack=('a {} backpack', 'a {} rucksack'),
    shoulder=('a {} shoulder bag', 'a {} bag across the chest'),
    hand=('a {} handbag', 'a {} bag in the hand'),
)
SUBJECTS = ('The person', 'This pedestrian', 'Somebody', 'A person')


class Describer:
    """Describes a person; random numbers choose words, order, and what is left out.

    Args:
        person: Who is described.
        rng: Chooses.
    """

    def __init__(self, person: Person, rng: np.random.Generator) -> None:
        self.yaw, self.outfit, self.rng = person.yaw, person.outfit, rng

    def caption(self, details: float) -> str:
        """Clothes, and each detail with a probability of ``details``."""
        sentences = [f'{self._pick(SUBJECTS)}{self._view()} {self._clothes()}.']
        found = self._details()
        for index in self.rng.permutation(len(found)):
            if self.rng.random() < details:
                start = self._pick(('They have', 'We see', 'Note'))
                sentences.append(f'{start} {found[index]}.')
        return ' '.join(sentences)

    def _pick(self, options: tuple[str, ...]) -> str:
        return options[self.rng.integers(len(options))]

    def _color(self, color: tuple) -> str:
        return self._pick(COLORS[color])

    def _view(self) -> str:
        facing = np.cos(self.yaw)
        if abs(facing) < np.sqrt(0.5) or self.rng.random() < 0.5:
            return ''
        return f', seen from {"the front" if facing > 0 else "behind"},'

    def _clothes(self) -> str:
        outfit = self.outfit
        accent, top = self._color(outfit.accent), self._color(outfit.top)
        garment = f'a {top} {self._pick(GARMENTS[outfit.upper])}'
        garment += self._pick(PATTERNS[outfit.pattern]).format(accent)
        wears = self._pick(('wears', 'is wearing', 'is dressed in'))
        if outfit.upper == 'coat':
            garment += f' over a {accent} shirt'
        if outfit.upper in ('dress', 'jumpsuit'):
            return f'{wears} {garment}'
        lower = f'{self._color(outfit.bottom)} {self._pick(GARMENTS[outfit.lower])}'
        lower = f'a {lower}' if outfit.lower == 'skirt' else lower
        if self.rng.random() < 0.3:
            return f'{wears} {lower} and {garment}'
        return f'{wears} {garment} and {lower}'

    def _details(self) -> list[str]:
        outfit = self.outfit
        sleeves = (
            'no' if not outfit.sleeve else 'long' if outfit.sleeve > 0.5 else 'short'
        )
        hair = self._pick(HAIR_STYLES[outfit.hair_style])
        found = [
            f'{self._color(outfit.shoes)} shoes',
            f'{sleeves} sleeves',
            hair.format(self._color(outfit.hair)),
        ]
        woolen = self._color(outfit.woolen)
        if outfit.hat != 'none':
            hats = dict(cap=('cap', 'baseball cap'), beanie=('beanie', 'woolen hat'))
            found.append(f'a {woolen} {self._pick(hats[outfit.hat])}')
        if outfit.bag != 'none':
            found.append(self._pick(BAGS[outfit.bag]).format(self._color(outfit.extra)))
        if outfit.scarf:
            found.append(f'a {woolen} scarf')
        if outfit.gloves:
            found.append(f'{woolen} gloves')
        if outfit.sunglasses:
            found.append(self._pick(('sunglasses', 'dark glasses')))
        return found
