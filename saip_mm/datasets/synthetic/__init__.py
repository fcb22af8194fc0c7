"""People drawn from a seed."""

from .dataset import SyntheticPeople, SyntheticScenes
from .scene import draw_person, draw_scene

__all__ = ['SyntheticPeople', 'SyntheticScenes', 'draw_person', 'draw_scene']
