"""CrowdHuman: https://www.crowdhuman.org/download.html"""

import json

import numpy as np

from ..labels import LabeledImage, Part
from ..scene import label_scene
from .folder import FormatWriter, Shot, as_xywh

MIN_PEOPLE, MAX_PEOPLE = 2, 16
OCCLUDED = 0.9  # whoever shows less of the full box
HEAD = (Part.HAT, Part.HAIR, Part.SUNGLASSES, Part.FACE)
HEAD_HIDDEN, HEAD_OCCLUDED = 0.1, 0.4  # less of the head box shows the head
# CrowdDet needs two boxes in every image, and counts ignored ones.
PADDING = dict(
    tag='mask',
    fbox=[0, 0, 8, 8],
    vbox=[0, 0, 8, 8],
    hbox=[0, 0, 8, 8],
    extra=dict(ignore=1),
    head_attr=dict(ignore=1),
)


class CrowdHuman(FormatWriter):
    """Crowds: full, visible and head boxes of whom something is seen."""

    name = 'crowdhuman'
    usual_size = (320, 480)

    def write(self, shot: Shot) -> dict:
        seed = self.seed_of(shot.split)
        scene = label_scene(seed, shot.number, self.size, MAX_PEOPLE, MIN_PEOPLE)
        name = f'{shot.split},{shot.number:08}'
        self.save_image(f'Images/{name}.jpg', scene.image)
        boxes = []
        for i, person in enumerate(scene.people):
            if person.visible_box.any():
                boxes.append(annotate(scene, i, len(boxes)))
        boxes += [PADDING] * max(2 - len(boxes), 0)
        return dict(ID=name, gtboxes=boxes)

    def finish(self, records) -> None:
        for split, chosen in self.by_split(records).items():
            self.save_lines(f'annotation_{split}.odgt', map(json.dumps, chosen))


def annotate(scene: LabeledImage, i: int, number: int) -> dict:
    """Keys of the box of people[i]; number: of the box in the image."""
    person = scene.people[i]
    full, visible, head = (
        to_integers(box)
        for box in (person.full_box, person.visible_box, person.head_box)
    )
    shown = visible[2] * visible[3] / max(full[2] * full[3], 1)
    x, y, w, h = head
    area = slice(max(y, 0), max(y + h, 0)), slice(max(x, 0), max(x + w, 0))
    own = (scene.instances[area] == i + 1) & np.isin(scene.parts[area], HEAD)
    head_shown = own.sum() / max(w * h, 1)
    return dict(
        tag='person',
        fbox=full,
        vbox=visible,
        hbox=head,
        extra=dict(box_id=number, occ=int(shown < OCCLUDED)),
        head_attr=dict(
            ignore=int(head_shown < HEAD_HIDDEN),
            occ=int(head_shown < HEAD_OCCLUDED),
            unsure=0,
        ),
    )


def to_integers(box: np.ndarray) -> list[int]:
    """The whole pixels around a box x1, y1, x2, y2, as x, y, width and height."""
    whole = np.concatenate([np.floor(box[:2]), np.ceil(box[2:])])
    return as_xywh(whole.astype(int))
