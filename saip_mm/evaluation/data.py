"""Drawn people that nothing was trained on, with their labels."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from ..data.views import Size
from ..drawn import SyntheticPeople

# Seeds that no config trains with.
TEST_SEED, TRAIN_SEED, VIEWS_SEED = 900_001, 900_002, 900_003


@dataclass(frozen=True)
class ProbeSizes:
    """How many people the probes look at.

    Attributes:
        identities: People on whom all is tested.
        images: Images of each.
        train_identities: Other people, on whom linear maps are fitted.
        train_images: Images of each.
        views: People on whom search and reconstruction are tested, an image of each.
    """

    identities: int = 100
    images: int = 8
    train_identities: int = 200
    train_images: int = 4
    views: int = 128


@dataclass(frozen=True)
class LabelledPeople:
    """N images of one person each, and what is known of them; sizes in pixels.

    Attributes:
        images: RGB, uint8 numpy [N, h, w, 3].
        identities: int64 [N], from 1.
        cameras: int64 [N].
        attributes: bool [N, A].
        parts: uint8 [N, h, w], indices of LIP labels.
        keypoints: float32 [N, K, 3]: x, y, and v as in COCO.
        boxes: float32 [N, 4]: x1, y1, x2, y2 of the whole person.
    """

    images: np.ndarray
    identities: Tensor
    cameras: Tensor
    attributes: Tensor
    parts: Tensor
    keypoints: Tensor
    boxes: Tensor


@lru_cache(maxsize=4)
def draw_people(
    num_identities: int, images_per_identity: int, seed: int, size: Size
) -> LabelledPeople:
    """Draw people; the same ones are drawn once per process."""
    people = SyntheticPeople(num_identities, images_per_identity, seed, size)
    infos = [people.get_data_info(i) for i in range(len(people))]
    drawn = [
        people.load_labelled(info)
        for info in track(infos, 'Drawing people', transient=True)
    ]
    persons = [image.people[0] for image in drawn]
    return LabelledPeople(
        images=np.stack([image.image for image in drawn]),
        identities=torch.tensor([info['identity'] for info in infos]) + 1,
        cameras=torch.tensor([info['camera'] for info in infos]),
        attributes=_stack([person.attributes for person in persons]),
        parts=_stack([image.parts for image in drawn]),
        keypoints=_stack([person.keypoints for person in persons]),
        boxes=_stack([person.full_box for person in persons]),
    )


def _stack(arrays: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))
