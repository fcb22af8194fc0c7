"""Attributes of PA-100K and PETA, and which of them a drawn person has.

Names in the order of the owners' annotations, as read by
https://github.com/dangweili/pedestrian-attribute-recognition-pytorch and
https://github.com/valencebond/Rethinking_of_PAR
"""

import numpy as np

from ..labels import Person
from ..wardrobe import BLACK, BLUE, BROWN, GRAY, GREEN, HAIRS, NAVY, RED, SAND, WHITE


def _words(text):
    return text.split()


PA100K = _words(
    'Female AgeOver60 Age18-60 AgeLess18 Front Side Back Hat Glasses HandBag '
    'ShoulderBag Backpack HoldObjectsInFront ShortSleeve LongSleeve UpperStride '
    'UpperLogo UpperPlaid UpperSplice LowerStripe LowerPattern LongCoat Trousers '
    'Shorts Skirt&Dress boots'
)
COLORS = _words('Black Blue Brown Green Grey Orange Pink Purple Red White Yellow')
# The first 35 are those that are evaluated.
PETA = _words(
    'personalLess30 personalLess45 personalLess60 personalLarger60 '
    'carryingBackpack carryingOther lowerBodyCasual upperBodyCasual '
    'lowerBodyFormal upperBodyFormal accessoryHat upperBodyJacket lowerBodyJeans '
    'footwearLeatherShoes upperBodyLogo hairLong personalMale '
    'carryingMessengerBag accessoryMuffler accessoryNothing carryingNothing '
    'upperBodyPlaid carryingPlasticBags footwearSandals footwearShoes '
    'lowerBodyShorts upperBodyShortSleeve lowerBodyShortSkirt footwearSneaker '
    'upperBodyThinStripes accessorySunglasses lowerBodyTrousers upperBodyTshirt '
    'upperBodyOther upperBodyVNeck'
)
PETA += [
    part + color
    for part in ('upperBody', 'lowerBody', 'hair', 'footwear')
    for color in COLORS
]
PETA += _words(
    'accessoryHeadphone personalLess15 carryingBabyBuggy hairBald footwearBoots '
    'lowerBodyCapri carryingShoppingTro carryingUmbrella personalFemale '
    'carryingFolder accessoryHairBand lowerBodyHotPants accessoryKerchief '
    'lowerBodyLongSkirt upperBodyLongSleeve lowerBodyPlaid lowerBodyThinStripes '
    'carryingLuggageCase upperBodyNoSleeve hairShort footwearStocking '
    'upperBodySuit carryingSuitcase lowerBodySuits upperBodySweater '
    'upperBodyThickStripes'
)
COLOR_NAMES = {
    BLACK: 'Black',
    WHITE: 'White',
    GRAY: 'Grey',
    NAVY: 'Blue',
    BLUE: 'Blue',
    RED: 'Red',
    GREEN: 'Green',
    SAND: 'Yellow',
    BROWN: 'Brown',
    **dict(zip(HAIRS, ('Black', 'Brown', 'Yellow', 'Grey'), strict=True)),
}
COAT, SKIRT = 0.18, 0.52  # longer ones are long


def pick(table: dict[str, bool]) -> set[str]:
    """The keys of what is true."""
    return {name for name, holds in table.items() if holds}


def is_gray(person: Person) -> bool:
    """Whether hair that could be seen is gray: counts as over 60."""
    return person.outfit.hair == HAIRS[3] and person.outfit.hair_style != 'bald'


def pa100k_names(person: Person) -> set[str]:
    """Which of the 26 a person in a picture has. Never: Female, AgeLess18,
    HoldObjectsInFront, LowerStripe, LowerPattern, boots."""
    worn, towards = person.outfit, np.cos(person.yaw)
    front, back = towards > np.sqrt(0.5), towards < -np.sqrt(0.5)
    return pick(
        {
            'AgeOver60': is_gray(person),
            'Age18-60': not is_gray(person),
            'Front': front,
            'Side': not front and not back,
            'Back': back,
            'Hat': worn.hat != 'none',
            'Glasses': worn.sunglasses,
            'HandBag': worn.bag == 'hand',
            'ShoulderBag': worn.bag == 'shoulder',
            'Backpack': worn.bag == 'backpack',
            'ShortSleeve': worn.sleeve <= 0.5,
            'LongSleeve': worn.sleeve > 0.5,
            'UpperStride': worn.pattern in ('stripes', 'vertical'),
            'UpperLogo': worn.pattern == 'logo',
            'UpperPlaid': worn.pattern == 'checks',
            'UpperSplice': worn.pattern == 'block',
            'LongCoat': worn.upper == 'coat' and worn.hem > COAT,
            'Trousers': worn.lower == 'trousers',
            'Shorts': worn.lower == 'shorts',
            'Skirt&Dress': worn.lower == 'skirt',
        }
    )


def peta_names(person: Person) -> set[str]:
    """Which of the 105 a person has. Never: sex, ages but 31-45 and over 60, formal
    clothes, and what is not drawn."""
    worn = person.outfit
    colors = {
        'upperBody' + COLOR_NAMES[worn.top],
        'lowerBody' + COLOR_NAMES[worn.bottom],
        'footwear' + COLOR_NAMES[worn.shoes],
    }
    if worn.hair_style != 'bald':
        colors.add('hair' + COLOR_NAMES[worn.hair])
    return (
        colors
        | pick(_worn_above(worn) | _worn_below(worn))
        | pick(
            {
                'personalLess45': not is_gray(person),
                'personalLarger60': is_gray(person),
                'hairLong': worn.hair_style in ('long', 'tail'),
                'hairShort': worn.hair_style in ('short', 'bun'),
                'hairBald': worn.hair_style == 'bald',
                'accessoryHat': worn.hat != 'none',
                'accessoryMuffler': worn.scarf,
                'accessorySunglasses': worn.sunglasses,
                'accessoryNothing': worn.hat == 'none'
                and not (worn.scarf or worn.sunglasses),
                'carryingBackpack': worn.bag == 'backpack',
                'carryingMessengerBag': worn.bag == 'shoulder',
                'carryingOther': worn.bag == 'hand',
                'carryingNothing': worn.bag == 'none',
            }
        )
    )


def _worn_above(worn):
    short = 0 < worn.sleeve <= 0.5
    return {
        'upperBodyCasual': worn.upper != 'coat',
        'upperBodyJacket': worn.upper == 'coat',
        'upperBodyOther': worn.upper in ('dress', 'jumpsuit'),
        'upperBodyTshirt': worn.upper == 'shirt' and short,
        'upperBodyNoSleeve': worn.sleeve == 0,
        'upperBodyShortSleeve': short,
        'upperBodyLongSleeve': worn.sleeve > 0.5,
        'upperBodyLogo': worn.pattern == 'logo',
        'upperBodyPlaid': worn.pattern == 'checks',
        'upperBodyThinStripes': worn.pattern in ('stripes', 'vertical'),
        'upperBodyThickStripes': worn.pattern == 'block',
    }


def _worn_below(worn):
    jeans = worn.lower == 'trousers' and worn.bottom == NAVY
    long = worn.bottom_length > SKIRT
    return {
        'lowerBodyCasual': True,
        'lowerBodyJeans': jeans,
        'lowerBodyTrousers': worn.lower == 'trousers' and not jeans,
        'lowerBodyShorts': worn.lower == 'shorts',
        'lowerBodyShortSkirt': worn.lower == 'skirt' and not long,
        'lowerBodyLongSkirt': worn.lower == 'skirt' and long,
        'footwearLeatherShoes': worn.shoes == BROWN,
        'footwearShoes': worn.shoes == BLACK,
        'footwearSneaker': worn.shoes == WHITE,
    }
