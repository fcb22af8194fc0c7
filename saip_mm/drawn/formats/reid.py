"""Market-1501 and MSMT17.

Names of files: https://zheng-lab.cecs.anu.edu.au/Project/project_reid.html and
https://www.pkuvmc.com/publications/msmt17.html
"""

import numpy as np

from ..scene import NUM_CAMERAS, camera_of, label_person, label_scene
from .folder import FormatWriter, Shot

IMAGES = 2 * NUM_CAMERAS  # of a person: two by each camera


class ReId(FormatWriter):
    """Twelve images of each person by six cameras, the same ones in all splits.

    All splits have one seed, for the cameras' sake, and different people. Whole people
    are tested, at least two; the first image by a camera is a query, the second one is
    in the gallery.
    """

    most_people: int

    def __init__(self, out, num, seed, size=None):
        super().__init__(out, num, seed, size)
        if self.count_people() > self.most_people:
            share = 1 + (len(self.splits) - 1) / 4  # two people are for rounding
            most = int((self.most_people - 2) * IMAGES / share)
            raise ValueError(
                f'num is {num}; {self.name} has numbers for {self.most_people} people, '
                f'{IMAGES} images each: give at most {most}'
            )

    def shots(self) -> list[Shot]:
        shots = [Shot('train', i) for i in range(self.num)]
        for split, people in self.people().items():
            if split != 'train':
                shots += [Shot(split, i) for i in range(people * IMAGES)]
        return shots

    def people(self) -> dict[str, int]:
        """Number of people in each split."""
        quarter = -(-self.num // (4 * IMAGES))
        counts = dict(train=-(-self.num // IMAGES), val=quarter, test=max(quarter, 2))
        return {split: counts[split] for split in self.splits}

    def count_people(self) -> int:
        """Number of people in all splits."""
        return sum(self.people().values())

    def draw(self, shot: Shot) -> tuple[int, int, np.ndarray, int]:
        """Identity (from 0), index and picture of a shot, and its camera (from 1)."""
        first = 0
        for split, people in self.people().items():
            if split == shot.split:
                break
            first += people
        identity, index = first + shot.number // IMAGES, shot.number % IMAGES
        seed = self.seed_of('train')
        image = label_person(seed, identity, index, self.size).image
        return identity, index, image, camera_of(identity, index) + 1


class Market1501(ReId):
    """Names have identity, camera and sequence, frame, and number of the box.

    For every person of the gallery there are an image without anybody (0000) and, cut
    from a picture, one that shows too little of them (-1).
    """

    name = 'market1501'
    usual_size = (128, 64)
    splits = ('train', 'test')
    most_people = 1501

    def shots(self) -> list[Shot]:
        people = self.people()['test']
        extra = [Shot(s, i) for s in ('distractor', 'junk') for i in range(people)]
        return super().shots() + extra

    def write(self, shot: Shot) -> None:
        frame = 25 * shot.number + 1
        if shot.split in ('distractor', 'junk'):
            distractor = shot.split == 'distractor'
            draw = self.draw_distractor if distractor else self.draw_junk
            (image, camera), person = draw(shot.number), '0000' if distractor else '-1'
            name = f'{person}_c{camera}s1_{frame:06}_01'
            self.save_image(f'bounding_box_test/{name}.jpg', image)
            return
        identity, index, image, camera = self.draw(shot)
        folder, box = 'bounding_box_train', 1
        if shot.split == 'test':
            queried = index < NUM_CAMERAS
            folder = 'query' if queried else 'bounding_box_test'
            box = 0 if queried else 1  # a query's box is drawn by hand
        sequence = index // NUM_CAMERAS + 1
        name = f'{identity + 1:04}_c{camera}s{sequence}_{frame:06}_{box:02}'
        self.save_image(f'{folder}/{name}.jpg', image)

    def draw_distractor(self, number: int) -> tuple[np.ndarray, int]:
        """A place without anybody, and the camera (from 1)."""
        scene = label_scene(self.seed_of('train'), number, self.size, 0)
        return scene.image, scene.camera + 1

    def draw_junk(self, number: int) -> tuple[np.ndarray, int]:
        """The lower left quarter of a picture of somebody who is tested; the camera."""
        h, w = self.size
        identity = self.people()['train'] + number
        seed = self.seed_of('train')
        image = label_person(seed, identity, IMAGES, (2 * h, 2 * w)).image
        camera = camera_of(identity, IMAGES) + 1
        return np.ascontiguousarray(image[h:, :w]), camera

    def finish(self, records) -> None:
        """The names of the files say everything."""


class Msmt17(ReId):
    """Lists with path and number of the person; those of train and test overlap.

    Validation has people of its own, numbered after those of training.
    """

    name = 'msmt17'
    usual_size = (256, 128)
    splits = ('train', 'val', 'test')
    most_people = 10000

    def write(self, shot: Shot) -> tuple[str, str]:
        identity, index, image, camera = self.draw(shot)
        if shot.split == 'test':
            people = self.people()
            identity -= people['train'] + people['val']
        time = ('morning', 'noon', 'afternoon')[index % 3]
        stem = f'{identity:04}_{index:03}_{camera:02}_0303{time}_{shot.number:04}_0'
        path = f'{identity:04}/{stem}.jpg'
        folder = 'test' if shot.split == 'test' else 'train'
        self.save_image(f'MSMT17_V1/{folder}/{path}', image)
        part = shot.split
        if part == 'test':
            part = 'query' if index < NUM_CAMERAS else 'gallery'
        return part, f'{path} {identity}'

    def finish(self, records) -> None:
        for part in ('train', 'val', 'query', 'gallery'):
            lines = [line for name, line in records if name == part]
            self.save_lines(f'MSMT17_V1/list_{part}.txt', lines)
