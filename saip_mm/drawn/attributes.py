"""Attributes of drawn people: our own, those of PA-100K and those of PETA.

The order of PA-100K and PETA is that of their annotations, as read by
https://github.com/dangweili/pedestrian-attribute-recognition-pytorch and
https://github.com/valencebond/Rethinking_of_PAR
"""

from collections.abc import Callable
from math import cos, sqrt
from typing import Any

from .wardrobe import BLACK, BLUE, BROWN, GRAY, GREEN, HAIRS, NAVY, RED, SAND, WHITE

Rule = Callable[[Any], bool]  # whether a Person has an attribute
COLORS = 'Black Blue Brown Green Grey Orange Pink Purple Red White Yellow'
COLORS = dict.fromkeys(COLORS.split(), ())
COLORS |= dict(Black=(BLACK, HAIRS[0]), Blue=(NAVY, BLUE), Brown=(BROWN, HAIRS[1]))
COLORS |= dict(Green=(GREEN,), Grey=(GRAY, HAIRS[3]), Red=(RED,), White=(WHITE,))
COLORS['Yellow'] = (SAND, HAIRS[2])
QUARTER = sqrt(0.5)  # front, side and back are quarters of the circle
LONG_SKIRT, LONG_COAT = 0.52, 0.18


def _worn(field: str, *values: Any) -> Rule:
    """Whether a field of the outfit has one of the values."""
    return lambda person: getattr(person.outfit, field) in values


def _never(names: str) -> dict[str, Rule]:
    return {name: lambda person: False for name in names.split()}


def _colored(part: str, field: str) -> dict[str, Rule]:
    return {part + name: _worn(field, *values) for name, values in COLORS.items()}


HAT, GLASSES = _worn('hat', 'cap', 'beanie'), _worn('sunglasses', True)
LONG_HAIR, SCARF = _worn('hair_style', 'long', 'tail'), _worn('scarf', True)
COAT, LOGO = _worn('upper', 'coat'), _worn('pattern', 'logo')
STRIPES, CHECKS = _worn('pattern', 'stripes', 'vertical'), _worn('pattern', 'checks')
SKIRT, SHORTS = _worn('lower', 'skirt'), _worn('lower', 'shorts')
TROUSERS, HANDBAG = _worn('lower', 'trousers'), _worn('bag', 'hand')
BACKPACK, SHOULDER_BAG = _worn('bag', 'backpack'), _worn('bag', 'shoulder')

OVER_60 = _worn('seen_hair', HAIRS[3])  # gray

ATTRIBUTES: dict[str, Rule] = {
    'hat': HAT,
    'sunglasses': GLASSES,
    'long hair': LONG_HAIR,
    'scarf': SCARF,
    'long sleeves': lambda p: p.outfit.sleeve > 0.5,
    'patterned top': lambda p: p.outfit.pattern != 'plain',
    'coat': COAT,
    'skirt or dress': SKIRT,
    'shorts': SHORTS,
    'gloves': _worn('gloves', True),
    'backpack': BACKPACK,
    'shoulder or hand bag': _worn('bag', 'shoulder', 'hand'),
}

PA100K_ATTRIBUTES: dict[str, Rule] = {
    **_never('Female'),
    'AgeOver60': OVER_60,
    'Age18-60': lambda p: not OVER_60(p),
    **_never('AgeLess18'),
    'Front': lambda p: cos(p.yaw) > QUARTER,
    'Side': lambda p: abs(cos(p.yaw)) <= QUARTER,
    'Back': lambda p: cos(p.yaw) < -QUARTER,
    'Hat': HAT,
    'Glasses': GLASSES,
    'HandBag': HANDBAG,
    'ShoulderBag': SHOULDER_BAG,
    'Backpack': BACKPACK,
    **_never('HoldObjectsInFront'),
    'ShortSleeve': lambda p: p.outfit.sleeve <= 0.5,
    'LongSleeve': lambda p: p.outfit.sleeve > 0.5,
    'UpperStride': STRIPES,
    'UpperLogo': LOGO,
    'UpperPlaid': CHECKS,
    'UpperSplice': _worn('pattern', 'block'),
    **_never('LowerStripe LowerPattern'),
    'LongCoat': lambda p: COAT(p) and p.outfit.hem > LONG_COAT,
    'Trousers': TROUSERS,
    'Shorts': SHORTS,
    'Skirt&Dress': SKIRT,
    **_never('boots'),
}

# The first 35 are evaluated.
PETA_ATTRIBUTES: dict[str, Rule] = {
    **_never('personalLess30'),
    'personalLess45': lambda p: not OVER_60(p),
    **_never('personalLess60'),
    'personalLarger60': OVER_60,
    'carryingBackpack': BACKPACK,
    'carryingOther': HANDBAG,
    'lowerBodyCasual': lambda p: True,
    'upperBodyCasual': lambda p: not COAT(p),
    **_never('lowerBodyFormal upperBodyFormal'),
    'accessoryHat': HAT,
    'upperBodyJacket': COAT,
    'lowerBodyJeans': lambda p: TROUSERS(p) and p.outfit.bottom == NAVY,
    'footwearLeatherShoes': _worn('shoes', BROWN),
    'upperBodyLogo': LOGO,
    'hairLong': LONG_HAIR,
    **_never('personalMale'),
    'carryingMessengerBag': SHOULDER_BAG,
    'accessoryMuffler': SCARF,
    'accessoryNothing': lambda p: not (HAT(p) or SCARF(p) or GLASSES(p)),
    'carryingNothing': _worn('bag', 'none'),
    'upperBodyPlaid': CHECKS,
    **_never('carryingPlasticBags footwearSandals'),
    'footwearShoes': _worn('shoes', BLACK),
    'lowerBodyShorts': SHORTS,
    'upperBodyShortSleeve': lambda p: 0 < p.outfit.sleeve <= 0.5,
    'lowerBodyShortSkirt': lambda p: SKIRT(p) and p.outfit.bottom_length <= LONG_SKIRT,
    'footwearSneaker': _worn('shoes', WHITE),
    'upperBodyThinStripes': STRIPES,
    'accessorySunglasses': GLASSES,
    'lowerBodyTrousers': lambda p: TROUSERS(p) and p.outfit.bottom != NAVY,
    'upperBodyTshirt': lambda p: (
        p.outfit.upper == 'shirt' and 0 < p.outfit.sleeve <= 0.5
    ),
    'upperBodyOther': _worn('upper', 'dress', 'jumpsuit'),
    **_never('upperBodyVNeck'),
    **_colored('upperBody', 'top'),
    **_colored('lowerBody', 'bottom'),
    **_colored('hair', 'seen_hair'),
    **_colored('footwear', 'shoes'),
    **_never('accessoryHeadphone personalLess15 carryingBabyBuggy'),
    'hairBald': _worn('hair_style', 'bald'),
    **_never('footwearBoots lowerBodyCapri carryingShoppingTro carryingUmbrella'),
    **_never('personalFemale carryingFolder accessoryHairBand lowerBodyHotPants'),
    **_never('accessoryKerchief'),
    'lowerBodyLongSkirt': lambda p: SKIRT(p) and p.outfit.bottom_length > LONG_SKIRT,
    'upperBodyLongSleeve': lambda p: p.outfit.sleeve > 0.5,
    **_never('lowerBodyPlaid lowerBodyThinStripes carryingLuggageCase'),
    'upperBodyNoSleeve': lambda p: p.outfit.sleeve == 0,
    'hairShort': _worn('hair_style', 'short', 'bun'),
    **_never('footwearStocking upperBodySuit carryingSuitcase lowerBodySuits'),
    **_never('upperBodySweater'),
    'upperBodyThickStripes': _worn('pattern', 'block'),
}
