"""True sentences about drawn people, in varied words."""

import re

import numpy as np

from .person import Person
from .wardrobe import BLACK, BLUE, BROWN, GRAY, GREEN, HAIRS, NAVY, RED, SAND, WHITE

# Alternatives are separated by slashes.
COLORS = {BLACK: 'black/dark', WHITE: 'white/off-white', GRAY: 'gray/grey'}
COLORS |= {NAVY: 'navy/dark blue', BLUE: 'blue/light blue', RED: 'red/crimson'}
COLORS |= {GREEN: 'green/olive', SAND: 'beige/sand-colored', BROWN: 'brown/dark brown'}
COLORS |= dict(zip(HAIRS, ('black', 'brown', 'blond', 'gray'), strict=True))
WORDS = dict(
    subject='The person/This pedestrian/Somebody/A person',
    verb='wears/is wearing/is dressed in',
    note='They have/We see/Note',
    # garments
    shirt='shirt/top',
    coat='coat/open coat',
    dress='dress',
    jumpsuit='jumpsuit/overall',
    trousers='trousers/pants',
    shorts='shorts/short pants',
    skirt='skirt',
    # patterns
    plain='',
    stripes=' with {} stripes/ striped in {}',
    vertical=' with vertical {} stripes',
    checks=' with {} checks/ checked in {}',
    block=' with a {} lower half/ that is {} below the chest',
    logo=' with a {} logo/ with a {} print on the chest',
    # hair
    short='short {} hair',
    long='long {} hair/{} hair down to the shoulders',
    tail='a {} ponytail/{} hair in a ponytail',
    bun='a {} bun/{} hair in a bun',
    bald='no hair/a bald head',
    # worn and carried
    cap='a {} cap/a {} baseball cap',
    beanie='a {} beanie/a {} woolen hat',
    backpack='a {} backpack/a {} rucksack',
    shoulder='a {} shoulder bag/a {} bag across the chest',
    hand='a {} handbag/a {} bag in the hand',
    sunglasses='sunglasses/dark glasses',
)


def describe(person: Person, details: float, rng: np.random.Generator) -> str:
    """Describe clothes, and each detail with a probability of ``details``."""

    def say(word: str, color: tuple = BLACK) -> str:
        words, colors = WORDS.get(word, word).split('/'), COLORS[color].split('/')
        return str(rng.choice(words)).format(rng.choice(colors))

    outfit, facing = person.outfit, np.cos(person.yaw)
    top = f'a {say("{}", outfit.top)} {say(outfit.upper)}'
    top += say(outfit.pattern, outfit.accent)
    if outfit.upper == 'coat':
        top += say(' over a {} shirt', outfit.accent)
    clothes = [top]
    if outfit.upper not in ('dress', 'jumpsuit'):
        article = 'a ' if outfit.lower == 'skirt' else ''
        clothes.append(f'{article}{say("{}", outfit.bottom)} {say(outfit.lower)}')
    view = ''
    if abs(facing) > np.sqrt(0.5) and rng.random() < 0.5:
        view = f', seen from {"the front" if facing > 0 else "behind"},'
    clothes = ' and '.join(rng.permutation(clothes))
    sentences = [f'{say("subject")}{view} {say("verb")} {clothes}.']

    length = 'long' if outfit.sleeve > 0.5 else 'short' if outfit.sleeve else 'no'
    found = [f'{length} sleeves', say('{} shoes', outfit.shoes)]
    found.append(say(outfit.hair_style, outfit.hair))
    found += [say(outfit.hat, outfit.woolen)] * (outfit.hat != 'none')
    found += [say(outfit.bag, outfit.extra)] * (outfit.bag != 'none')
    found += [say('a {} scarf', outfit.woolen)] * outfit.scarf
    found += [say('{} gloves', outfit.woolen)] * outfit.gloves
    found += [say('sunglasses')] * outfit.sunglasses
    for detail in rng.permutation(found):
        if rng.random() < details:
            sentences.append(f'{say("note")} {detail}.')
    return re.sub(r'\ba (?=[aeio])', 'an ', ' '.join(sentences))
