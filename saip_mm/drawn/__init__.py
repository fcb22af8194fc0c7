"""People drawn from a seed."""

from ..data.drawn import SyntheticPeople, SyntheticScenes
from .labels import KEYPOINTS, PARTS, LabelledImage, Person
from .scene import draw_person, draw_scene, label_person, label_scene
from .wardrobe import ATTRIBUTES

__all__ = [
    'ATTRIBUTES',
    'KEYPOINTS',
    'PARTS',
    'LabelledImage',
    'Person',
    'SyntheticPeople',
    'SyntheticScenes',
    'draw_person',
    'draw_scene',
    'label_person',
    'label_scene',
]
