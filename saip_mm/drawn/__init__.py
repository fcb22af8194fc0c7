"""People drawn from a seed."""

from .labels import KEYPOINTS, PARTS, LabeledImage, Person
from .scene import camera_of, draw_person, draw_scene, label_person, label_scene
from .wardrobe import ATTRIBUTES

__all__ = [
    'ATTRIBUTES',
    'KEYPOINTS',
    'PARTS',
    'LabeledImage',
    'Person',
    'camera_of',
    'draw_person',
    'draw_scene',
    'label_person',
    'label_scene',
]
