"""Photographs with known pixels, and their annotations."""

import json

import numpy as np
import pytest
from PIL import Image


def annotate(folder, names, boxes):
    """Annotate each photograph with the same boxes."""
    images = [dict(id=i, file_name=name) for i, name in enumerate(names)]
    annotations = [
        dict(id=len(boxes) * i + j, image_id=i, category_id=1, bbox=box)
        for i in range(len(names))
        for j, box in enumerate(boxes)
    ]
    content = dict(images=images, annotations=annotations)
    (folder / 'boxes.json').write_text(json.dumps(content))
    return folder / 'boxes.json'


@pytest.fixture
def photos(tmp_path):
    """Two photographs, gray on the left and darker on the right half."""
    image = np.full((200, 300, 3), 200, np.uint8)
    image[:, 150:] = 60
    for name in ('a.png', 'sub/a.jpg'):
        path = tmp_path / 'photos' / name
        path.parent.mkdir(exist_ok=True, parents=True)
        Image.fromarray(image).save(path)
    return tmp_path / 'photos'


BOXES = [[0, 0, 100, 150], [200, 50, 50, 100], [0, 0, 5, 5]]
