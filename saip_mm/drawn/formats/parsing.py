"""Look into Person (LIP) and Crowd Instance-level Human Parsing (CIHP).

Layouts: https://github.com/Engineering-Course/LIP_SSL and
https://github.com/Engineering-Course/CIHP_PGN
"""

import numpy as np

from ..labels import Part
from ..scene import label_person, label_scene
from .folder import FormatWriter, Shot

MAX_PEOPLE = 5
# CIHP has the order of LIP, with skin of the trunk in the place of jumpsuits, which
# count as dresses: the other garment in one piece.
TO_CIHP = np.arange(20, dtype=np.uint8)
TO_CIHP[Part.JUMPSUITS] = Part.DRESS
FOLDERS = dict(train='Training', val='Validation')


class Lip(FormatWriter):
    """One person each; others in the picture are background, as in LIP."""

    name = 'lip'
    usual_size = (256, 192)

    def write(self, shot: Shot) -> str:
        seed = self.seed_of(shot.split)
        portrait = label_person(seed, shot.number, 0, self.size)
        name, split = f'{shot.number + 1:06}_0', shot.split
        self.save_image(f'TrainVal_images/{split}_images/{name}.jpg', portrait.image)
        parts = np.where(portrait.instances == 1, portrait.parts, 0).astype(np.uint8)
        folder = f'TrainVal_parsing_annotations/{split}_segmentations'
        self.save_image(f'{folder}/{name}.png', parts)
        return name

    def finish(self, records) -> None:
        for split, names in self.by_split(records).items():
            # The owner's archive has the lists beside the images; many look for them
            # one folder up.
            self.save_lines(f'TrainVal_images/{split}_id.txt', names)
            self.save_lines(f'{split}_id.txt', names)


class Cihp(FormatWriter):
    """Scenes with one to five people."""

    name = 'cihp'
    usual_size = (320, 400)

    def write(self, shot: Shot) -> str:
        seed = self.seed_of(shot.split)
        scene = label_scene(seed, shot.number, self.size, MAX_PEOPLE, 1)
        name, folder = f'{shot.number + 1:07}', FOLDERS[shot.split]
        categories = TO_CIHP[scene.parts]
        humans = numbered(scene.instances)
        instances, lines = number_parts(categories, humans)
        self.save_image(f'{folder}/Images/{name}.jpg', scene.image)
        self.save_image(f'{folder}/Category_ids/{name}.png', categories)
        self.save_image(f'{folder}/Human_ids/{name}.png', humans)
        self.save_image(f'{folder}/Instance_ids/{name}.png', instances)
        self.save_lines(f'{folder}/Instance_ids/{name}.txt', lines)
        return name

    def finish(self, records) -> None:
        for split, names in self.by_split(records).items():
            self.save_lines(f'{FOLDERS[split]}/{split}_id.txt', names)


def numbered(instances: np.ndarray) -> np.ndarray:
    """Number those who are seen from 1 without gaps; uint8 [h, w] both."""
    numbers = np.unique(np.append(instances, 0), return_inverse=True)[1][:-1]
    return numbers.reshape(instances.shape).astype(np.uint8)


def number_parts(
    categories: np.ndarray, humans: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """Number the parts of all people from 1.

    Returns:
        Numbers, uint8 [h, w], and a line `number category human` for each of them. (At
        most 5 people have at most 19 parts each.)
    """
    both = humans.astype(int) * len(TO_CIHP) + categories
    found = np.unique(both[categories > 0])
    numbers = np.searchsorted(found, both) + 1
    lines = [
        f'{i + 1} {key % len(TO_CIHP)} {key // len(TO_CIHP)}'
        for i, key in enumerate(found.tolist())
    ]
    return np.where(categories > 0, numbers, 0).astype(np.uint8), lines
