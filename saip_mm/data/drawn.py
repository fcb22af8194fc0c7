"""Data sets of drawn people and places: no files, no downloads."""

from collections.abc import Callable, Sequence

import numpy as np
from mmpretrain.registry import DATASETS

from ..drawn import Drawing, camera_of, check_numbers, draw_person, draw_scene
from .people import PeopleDataset
from .views import Size


@DATASETS.register_module()
class SyntheticPeople(PeopleDataset):
    """Images of drawn people: a data list of `dict(identity=i, image=j, camera=k)`.

    An image depends on (seed, identity, image) only. All images of an identity share
    body, hair, clothes and bag; pose, viewpoint, light and place differ. Six cameras
    take turns.

    Args:
        num_identities: Number of people.
        images_per_identity: Number of images of each.
        seed: Seed of all images.
        size: (h, w) of the images in pixels.
        pipeline, scenes: As in PeopleDataset.
        keep: Draw every image once and keep it in memory: 3·h·w bytes each (6·h·w with
            keypoints), in every data loader worker. For small data sets that are seen
            for many epochs.
        keypoints: Label the people's keypoints, as HAP needs them.

    Raises:
        ValueError: If there are no images, the seed is negative or the size too small.
    """

    def __init__(
        self,
        num_identities: int = 300,
        images_per_identity: int = 20,
        seed: int = 0,
        size: Size = (256, 128),
        pipeline: Sequence = (),
        scenes: dict | None = None,
        keep: bool = False,
        keypoints: bool = False,
    ) -> None:
        self.num_identities = num_identities
        self.images_per_identity = images_per_identity
        check_numbers(1, num_identities=num_identities)
        check_numbers(1, images_per_identity=images_per_identity)
        draw_person(seed, num_identities - 1, 0, size)  # impossible values fail here
        self.seed, self.size, self.keypoints = seed, tuple(size), keypoints
        self._kept = {} if keep else None
        super().__init__(pipeline, scenes)

    def load_data_list(self) -> list[dict]:
        return [
            dict(identity=identity, image=image, camera=camera_of(identity, image))
            for identity in range(self.num_identities)
            for image in range(self.images_per_identity)
        ]

    def load_image(self, data_info: dict) -> np.ndarray:
        return self.load_posed(data_info)[0]

    def load_posed(self, data_info: dict) -> tuple[np.ndarray, np.ndarray | None]:
        who = data_info['identity'], data_info['image']
        arguments = self.seed, *who, self.size, self.keypoints
        drawing = _draw(self._kept, draw_person, *arguments)
        return drawing.image, drawing.people[0].keypoints if self.keypoints else None

    def load_labeled(self, data_info: dict) -> Drawing:
        """Return the image of an entry with labels; the person is the first of them."""
        who = data_info['identity'], data_info['image']
        return draw_person(self.seed, *who, self.size, labeled=True)

    def source(self, data_info: dict) -> str:
        return (
            f'SyntheticPeople(seed={self.seed}) image {data_info["image"]} '
            f'of identity {data_info["identity"]}'
        )


@DATASETS.register_module()
class SyntheticScenes(PeopleDataset):
    """Images of drawn places with a few small people, to paste people into.

    Args:
        num_scenes: Number of images.
        max_people: Largest number of people in each, at most 250.
        seed, size, keep: As in SyntheticPeople.
    """

    def __init__(
        self,
        num_scenes: int = 2000,
        max_people: int = 3,
        seed: int = 0,
        size: Size = (224, 224),
        keep: bool = False,
    ) -> None:
        self.num_scenes = num_scenes
        check_numbers(1, num_scenes=num_scenes)
        self.seed, self.settings = seed, (tuple(size), max_people)
        draw_scene(seed, 0, size, max_people)  # as above
        self._kept = {} if keep else None
        super().__init__()

    def load_data_list(self) -> list[dict]:
        return [dict(image=image) for image in range(self.num_scenes)]

    def load_image(self, data_info: dict) -> np.ndarray:
        arguments = self.seed, data_info['image'], *self.settings
        return _draw(self._kept, draw_scene, *arguments).image

    def source(self, data_info: dict) -> str:
        return f'SyntheticScenes(seed={self.seed}) image {data_info["image"]}'


def _draw(kept: dict | None, draw: Callable[..., Drawing], *key: object) -> Drawing:
    if kept is None:
        return draw(*key)
    if key not in kept:
        kept[key] = draw(*key)
    return kept[key]
