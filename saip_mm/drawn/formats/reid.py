"""Market-1501 and MSMT17.

File names: https://zheng-lab.cecs.anu.edu.au/Project/project_reid.html and
https://www.pkuvmc.com/publications/msmt17.html
"""

import numpy as np

from ..scene import NUM_CAMERAS, Drawing, draw_person, draw_scene
from .writer import FormatWriter

IMAGES = 2 * NUM_CAMERAS  # of a person: two by each camera


class ReId(FormatWriter):
    """Twelve images of each person by six cameras.

    All splits share a seed, hence the cameras, and have different people. At least two
    people, with all their images, are for testing: the first image by each camera is a
    query, the second is in the gallery.
    """

    most_people: int

    def __init__(self, out, num, seed, size=None):
        super().__init__(out, num, seed, size)
        quarter = -(-num // (4 * IMAGES))
        self.counts |= dict.fromkeys(self.splits[1:], IMAGES * quarter)
        self.counts['test'] = IMAGES * max(quarter, 2)
        self.shared_seed = self.seed_of('train')
        people = self.before('test', IMAGES) + max(quarter, 2)
        if people > self.most_people:
            raise ValueError(
                f'num is {num}: {self.name} has numbers for {self.most_people} people, '
                f'not for {people} with {IMAGES} images each; give a smaller number'
            )

    def draw_identity(self, split: str, number: int) -> tuple[int, int, Drawing]:
        """Return identity (from 0), index and drawing of an image of a split."""
        identity, index = divmod(number, IMAGES)
        identity += self.before(split, IMAGES)
        drawn = draw_person(self.shared_seed, identity, index, self.size)
        return identity, index, drawn


class Market1501(ReId):
    """File names contain identity, camera and sequence, frame, and number of the box.

    For each test person, there is a distractor (0000), a place without people, and a
    junk image (-1), a quarter of an image of a person.
    """

    name = 'market1501'
    usual_size = (128, 64)
    splits = ('train', 'test')
    most_people = 1501

    def __init__(self, out, num, seed, size=None):
        super().__init__(out, num, seed, size)
        test_people = self.counts['test'] // IMAGES
        self.counts |= dict(distractor=test_people, junk=test_people)

    def draw(self, split: str, number: int) -> dict[str, str]:
        folder, sequence, box = 'bounding_box_test', 1, 1
        if split == 'distractor':
            person, drawn = '0000', draw_scene(self.shared_seed, number, self.size, 0)
        elif split == 'junk':
            h, w = self.size
            key = self.shared_seed, self.before('test', IMAGES) + number, IMAGES
            person, drawn = '-1', draw_person(*key, (2 * h, 2 * w))
            drawn = drawn._replace(image=np.ascontiguousarray(drawn.image[h:, :w]))
        else:
            identity, index, drawn = self.draw_identity(split, number)
            person, sequence = f'{identity + 1:04}', index // NUM_CAMERAS + 1
            if split == 'train':
                folder = 'bounding_box_train'
            elif sequence == 1:
                folder, box = 'query', 0  # a query's box is drawn by hand
        frame = f'c{drawn.camera + 1}s{sequence}_{25 * number + 1:06}'
        self.save_image(f'{folder}/{person}_{frame}_{box:02}.jpg', drawn.image)
        return {}


class Msmt17(ReId):
    """Lists with path and number of the person.

    Train and test are numbered separately; people for validation follow those for
    training.
    """

    name = 'msmt17'
    usual_size = (256, 128)
    splits = ('train', 'val', 'test')
    most_people = 10000

    def draw(self, split: str, number: int) -> dict[str, str]:
        identity, index, drawn = self.draw_identity(split, number)
        folder, part = 'train', split
        if split == 'test':
            identity -= self.before('test', IMAGES)
            folder, part = 'test', 'query' if index < NUM_CAMERAS else 'gallery'
        time = ('morning', 'noon', 'afternoon')[index % 3]
        frame = f'{index:03}_{drawn.camera + 1:02}_0303{time}_{number:04}_0'
        path = f'{identity:04}/{identity:04}_{frame}.jpg'
        self.save_image(f'{folder}/{path}', drawn.image)
        return {f'list_{part}.txt': f'{path} {identity}'}
