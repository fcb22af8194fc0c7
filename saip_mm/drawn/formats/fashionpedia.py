"""Fashionpedia: https://github.com/cvdfoundation/fashionpedia#annotations-and-images"""

import json
from collections.abc import Iterator

import cv2
import numpy as np

from ..labels import Limb, Part
from ..scene import Drawing
from ..wardrobe import Outfit
from .coco import ABOUT, contents, outline
from .writer import FormatWriter

GROUPS = {
    'upperbody': 'shirt, blouse|top, t-shirt, sweatshirt|sweater|cardigan|jacket|vest',
    'lowerbody': 'pants|shorts|skirt',
    'wholebody': 'coat|dress|jumpsuit|cape',
    'head': 'glasses|hat|headband, head covering, hair accessory',
    'neck': 'tie',
    'arms and hands': 'glove|watch',
    'waist': 'belt',
    'legs and feet': 'leg warmer|tights, stockings|sock|shoe',
    'others': 'bag, wallet|scarf|umbrella',
    'garment parts': 'hood|collar|lapel|epaulette|sleeve|pocket|neckline',
    'closures': 'buckle|zipper',
    'decorations': 'applique|bead|bow|flower|fringe|ribbon|rivet|ruffle|sequin|tassel',
}
# Group of each category, in order.
CATEGORIES = {name: group for group in GROUPS for name in GROUPS[group].split('|')}
ATTRIBUTE_IDS = (*range(235), *range(281, 284), *range(285, 341))
DRAWN = {
    142: 'normal waist',
    145: 'no waistline',
    147: 'hip (length)',
    150: 'above-the-knee (length)',
    151: 'knee (length)',
    153: 'midi',
    154: 'maxi (length)',
    156: 'sleeveless',
    157: 'short (length)',
    160: 'wrist-length',
    182: 'round (neck)',
    204: 'set-in sleeve',
    225: 'single breasted',
    234: 'no opening',
    317: 'plain (pattern)',
    322: 'check',
    326: 'geometric',
    328: 'stripe',
}  # the names of other attributes are not written
ID = {name: number for number, name in DRAWN.items()}
PATTERNS = dict(stripes='stripe', vertical='stripe', checks='check')
PATTERNS |= dict(plain='plain (pattern)', block='geometric', logo='geometric')
TOPS = dict(shirt='top, t-shirt, sweatshirt', coat='coat')
TOPS |= dict(dress='dress', jumpsuit='jumpsuit')
LOWER = dict(trousers='pants', shorts='shorts', skirt='skirt')
WORN = dict(GLOVE='glove', SUNGLASSES='glasses', HAT='hat', SOCKS='sock')
WORN |= dict(SCARF='scarf', LEFT_SHOE='shoe', RIGHT_SHOE='shoe')


class Fashionpedia(FormatWriter):
    """Garments and garment parts of one person, with attributes and masks.

    Masks are polygons, or run lengths where polygons would fill holes.
    """

    name = 'fashionpedia'
    usual_size = (256, 192)

    def draw(self, split: str, number: int) -> tuple[dict, list[dict]]:
        portrait = self.portrait(split, number)
        number += 1 + self.before(split)
        folder = 'train' if split == 'train' else 'test'  # as in the original
        name, (h, w) = f'{number:032x}.jpg', self.size
        self.save_image(f'{folder}/{name}', portrait.image)
        annotations = [
            dict(
                image_id=number,
                category_id=list(CATEGORIES).index(category),
                attribute_ids=sorted(ID[each] for each in attributes),
                iscrowd=0,
                **_shape(mask),
            )
            for category, attributes, mask in _pieces(portrait)
            if mask.any()
        ]
        return dict(id=number, file_name=name, height=h, width=w), annotations

    def annotate(self, records: dict[str, list]) -> None:
        common = ABOUT | dict(
            categories=[
                dict(id=i, name=name, supercategory=group, level=2)
                for i, (name, group) in enumerate(CATEGORIES.items())
            ],
            attributes=[
                dict(id=i, name=DRAWN.get(i, f'attribute {i}'), level=1)
                for i in ATTRIBUTE_IDS
            ],
        )
        first = 1
        for split, chosen in records.items():
            content = common | contents(chosen, first)
            first += len(content['annotations'])
            path = f'instances_attributes_{split}2020.json'
            self.save_text(path, json.dumps(content))


def _pieces(portrait: Drawing) -> Iterator[tuple[str, list[str], np.ndarray]]:
    """Yield category, attributes and mask, bool [h, w], of what is worn, if seen."""
    outfit, mine = portrait.people[0].outfit, portrait.instances == 1
    parts, limbs = np.where(mine, portrait.parts, 0), portrait.limbs
    top = parts == outfit.top_part
    yield TOPS[outfit.upper], _top(outfit), top
    if outfit.upper == 'coat':
        inner = parts == Part.UPPER_CLOTHES
        yield TOPS['shirt'], ['plain (pattern)', 'no opening'], inner
    if outfit.upper in ('shirt', 'coat'):
        attributes = ['plain (pattern)', 'normal waist', _length(outfit)]
        yield LOWER[outfit.lower], attributes, parts == outfit.lower_part
    length = 'wrist-length' if outfit.sleeve > 0.5 else 'short (length)'
    for limb in (Limb.LEFT_ARM, Limb.RIGHT_ARM):
        yield 'sleeve', ['set-in sleeve', length], top & (limbs == limb)
    neck = (parts == Part.FACE) & (limbs == Limb.TRUNK)
    yield 'neckline', ['round (neck)'], neck
    for part, category in WORN.items():
        yield category, [], parts == Part[part]


def _top(outfit: Outfit) -> list[str]:
    """Attributes of the garment of the trunk, with the lower half of one piece."""
    attributes = [PATTERNS[outfit.pattern]]
    attributes += [] if outfit.sleeve else ['sleeveless']
    if outfit.upper in ('dress', 'jumpsuit'):
        return [*attributes, 'normal waist', _length(outfit)]
    opening = 'single breasted' if outfit.upper == 'coat' else 'no opening'
    return [*attributes, 'no waistline', 'hip (length)', opening]


def _length(outfit: Outfit) -> str:
    """Length by the covered part of the leg; the knee is in the middle."""
    if outfit.bottom_length == 1:
        return 'maxi (length)'
    if outfit.bottom_length > 0.56:
        return 'midi'
    above = outfit.bottom_length < 0.46
    return 'above-the-knee (length)' if above else 'knee (length)'


def _shape(mask: np.ndarray) -> dict:
    """Return bbox, area and segmentation of a mask, bool [h, w], not empty."""
    segmentation, area = outline(mask)
    if area != mask.sum():
        area, flat = int(mask.sum()), mask.T.ravel()  # COCO counts down the columns
        ends = np.flatnonzero(np.diff(flat, append=not flat[-1])) + 1
        counts = np.diff(ends, prepend=0).tolist()
        counts = [0, *counts] if flat[0] else counts  # the first run is of zeros
        segmentation = dict(counts=counts, size=list(mask.shape))
    box = list(cv2.boundingRect(mask.astype(np.uint8)))
    return dict(bbox=box, area=area, segmentation=segmentation)
