"""People drawn from a seed."""

from .labels import KEYPOINTS, PARTS, LabelledImage, Person
from .scene import camera_of, draw_person, draw_scene, label_person, label_scene
from .wardrobe import ATTRIBUTES

__all__ = [
    'ATTRIBUTES',
    'KEYPOINTS',
    'PARTS',
    'LabelledImage',
    'Person',
    'camera_of',
    'draw_person',
    'draw_scene',
    'label_person',
    'label_scene',
]
