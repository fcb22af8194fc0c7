"""The people that are drawn are those of the published figures."""

import json
from pathlib import Path

import cv2
import numpy as np

from saip_mm.drawn import draw_person, draw_scene

THUMBNAILS = Path(__file__).parents[1] / 'cases' / 'drawn_people.json'


def thumbnails():
    """Mean colors of 4 × 2 cells of drawn images."""
    drawn = {f'person {i}': draw_person(0, i, i) for i in range(0, 24, 2)}
    drawn |= {f'scene {i}': draw_scene(0, i) for i in range(4)}
    return {
        name: cv2.resize(each.image, (2, 4), interpolation=cv2.INTER_AREA).tolist()
        for name, each in drawn.items()
    }


def test_drawn_people_are_those_of_the_published_figures():
    stored, drawn = json.loads(THUMBNAILS.read_text()), thumbnails()
    assert stored.keys() == drawn.keys()
    far = [k for k in drawn if np.abs(np.subtract(drawn[k], stored[k])).max() > 1]
    assert not far, (
        'other people are drawn than before. Measure all figures of docs/ again, then '
        'write tests/cases/drawn_people.json with '
        '`python tests/drawn/test_figures_hold.py`'
    )


if __name__ == '__main__':
    THUMBNAILS.write_text(json.dumps(thumbnails()) + '\n')
