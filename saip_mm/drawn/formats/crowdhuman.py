"""CrowdHuman: https://www.crowdhuman.org/download.html"""

import json

import numpy as np

from ..labels import Part
from ..scene import Drawing
from .writer import FormatWriter, as_xywh

HEAD = (Part.HAT, Part.HAIR, Part.SUNGLASSES, Part.FACE)
OCCLUDED = 0.9  # boxes that show less are occluded
HEAD_HIDDEN, HEAD_OCCLUDED = 0.1, 0.4  # shares of the head box that show the head
# CrowdDet needs two boxes in every image, and counts ignored ones.
PADDING = dict(tag='mask') | {f'{kind}box': [0, 0, 8, 8] for kind in 'fvh'}
PADDING |= dict(extra=dict(ignore=1), head_attr=dict(ignore=1))


class CrowdHuman(FormatWriter):
    """Crowds: full, visible and head boxes of visible people."""

    name = 'crowdhuman'
    usual_size = (320, 480)
    crowd = (16, 2)

    def draw(self, split: str, number: int) -> dict[str, str]:
        scene = self.scene(split, number)
        name = f'{split},{number:08}'
        self.save_image(f'Images/{name}.jpg', scene.image)
        visible = [i for i, p in enumerate(scene.people) if p.visible_box.any()]
        boxes = [annotate_person(scene, i, box) for box, i in enumerate(visible)]
        boxes += [PADDING] * (2 - len(boxes))
        line = json.dumps(dict(ID=name, gtboxes=boxes))
        return {f'annotation_{split}.odgt': line}


def annotate_person(scene: Drawing, i: int, number: int) -> dict:
    """Return the keys of the box of people[i]; number: of the box in the image."""
    person = scene.people[i]
    # Clothes may be wider than the body.
    first = np.minimum(person.full_box[:2], person.visible_box[:2])
    last = np.maximum(person.full_box[2:], person.visible_box[2:])
    full, visible, head = (
        as_xywh(np.concatenate([np.floor(box[:2]), np.ceil(box[2:])]).astype(int))
        for box in ([*first, *last], person.visible_box, person.head_box)
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
