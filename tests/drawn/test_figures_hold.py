"""The drawn people are those that the published figures were measured on."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from saip_mm.drawn import draw_person, draw_scene

THUMBNAILS = Path(__file__).parents[1] / 'cases' / 'drawn_people.json'


def draw():
    """Drawn images by what they show."""
    people = {f'person {i}': draw_person(0, i, i).image for i in range(0, 24, 2)}
    return people | {f'scene {i}': draw_scene(0, i).image for i in range(4)}


def thumbnail(image):
    """Mean colors of 4 × 2 cells."""
    return cv2.resize(image, (2, 4), interpolation=cv2.INTER_AREA).astype(int)


def test_drawn_people_are_those_of_the_published_figures():
    stored = json.loads(THUMBNAILS.read_text())
    drawn = draw()
    assert stored.keys() == drawn.keys()
    far = {
        name: difference
        for name, image in drawn.items()
        if (difference := np.abs(thumbnail(image) - stored[name]).max()) > 1
    }
    if far:
        pytest.fail(
            f'other people are drawn than before ({far} gray values). Measure all '
            'figures of docs/ anew, then write tests/cases/drawn_people.json with '
            '`python tests/data/test_figures_hold.py`'
        )


if __name__ == '__main__':
    cells = {name: thumbnail(image).tolist() for name, image in draw().items()}
    THUMBNAILS.write_text(json.dumps(cells) + '\n')
