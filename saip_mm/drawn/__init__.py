"""People drawn from a seed, and the layouts of data sets that they are written in."""

from .attributes import ATTRIBUTES
from .formats import WRITERS, FormatWriter
from .labels import KEYPOINTS, PARTS
from .scene import Drawing, camera_of, check_numbers, draw_person, draw_scene
