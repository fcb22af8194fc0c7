"""Look into Person (LIP) and Crowd Instance-level Human Parsing (CIHP).

Layouts: https://github.com/Engineering-Course/LIP_SSL and
https://github.com/Engineering-Course/CIHP_PGN
"""

import numpy as np

from ..labels import Part
from .writer import FormatWriter

# CIHP has the order of LIP, with skin of the trunk in the place of jumpsuits, which
# count as dresses.
TO_CIHP = np.arange(20, dtype=np.uint8)
TO_CIHP[Part.JUMPSUITS] = Part.DRESS
FOLDERS = dict(train='Training', val='Validation')


class Lip(FormatWriter):
    """Images of one person; other people are background, as in LIP."""

    name = 'lip'
    usual_size = (256, 192)

    def draw(self, split: str, number: int) -> dict[str, str]:
        portrait, name = self.portrait(split, number), f'{number + 1:06}_0'
        parts = np.where(portrait.instances == 1, portrait.parts, 0).astype(np.uint8)
        folder = f'TrainVal_parsing_annotations/{split}_segmentations'
        self.save_image(f'TrainVal_images/{split}_images/{name}.jpg', portrait.image)
        self.save_image(f'{folder}/{name}.png', parts)
        # In the original archive, the lists are beside the images; many readers expect
        # them one folder up.
        return {f'TrainVal_images/{split}_id.txt': name, f'{split}_id.txt': name}


class Cihp(FormatWriter):
    """Scenes with one to five people."""

    name = 'cihp'
    usual_size = (320, 400)
    crowd = (5, 1)

    def draw(self, split: str, number: int) -> dict[str, str]:
        scene, name = self.scene(split, number), f'{number + 1:07}'
        categories = TO_CIHP[scene.parts]
        # People who are visible are numbered from 1 without gaps.
        seen = np.union1d(scene.instances, 0)
        humans = np.searchsorted(seen, scene.instances).astype(np.uint8)
        instances, lines = _number_parts(categories, humans)
        folder = FOLDERS[split]
        self.save_image(f'{folder}/Images/{name}.jpg', scene.image)
        self.save_image(f'{folder}/Category_ids/{name}.png', categories)
        self.save_image(f'{folder}/Human_ids/{name}.png', humans)
        self.save_image(f'{folder}/Instance_ids/{name}.png', instances)
        self.save_text(f'{folder}/Instance_ids/{name}.txt', lines)
        return {f'{folder}/{split}_id.txt': name}


def _number_parts(categories, humans):
    """Number the parts of all people from 1; at most 5 people have 19 parts each.

    Returns:
        Numbers, uint8 [h, w], and lines `number category human`.
    """
    both = humans.astype(int) * len(TO_CIHP) + categories
    found = np.unique(both[categories > 0])
    numbers = np.where(categories > 0, np.searchsorted(found, both) + 1, 0)
    pairs = enumerate(zip(found % len(TO_CIHP), found // len(TO_CIHP), strict=True), 1)
    lines = ''.join(f'{i} {part} {who}\n' for i, (part, who) in pairs)
    return numbers.astype(np.uint8), lines
