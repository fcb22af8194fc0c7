"""COCO and COCO-WholeBody.

Layout and keys: https://cocodataset.org/#format-data and
https://github.com/jin-s13/COCO-WholeBody/blob/master/data_format.md
"""

import json
from itertools import islice

import cv2
import numpy as np
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

from ..labels import KEYPOINTS
from ..person import Person
from .writer import FormatWriter, as_xywh

BONES = (
    '16-14 14-12 17-15 15-13 12-13 6-12 7-13 6-7 6-8 7-9 8-10 9-11 2-3 1-2 1-3 2-4 3-5 '
    '4-6 5-7'
)  # numbers of keypoints, from 1
PERSON = dict(
    supercategory='person',
    id=1,
    name='person',
    keypoints=KEYPOINTS,
    skeleton=[[int(end) for end in bone.split('-')] for bone in BONES.split()],
)
# How many classes, in order, are in each group.
GROUPS = dict(person=1, vehicle=8, outdoor=5, animal=10, accessory=5, sports=10)
GROUPS |= dict(kitchen=7, food=10, furniture=6, electronic=6, appliance=5, indoor=7)
CLASSES = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta['categories'][1:]
NUMBERED = ((i, name) for i, name in enumerate(CLASSES, start=1) if name != 'N/A')
OBJECTS = [
    dict(supercategory=group, id=number, name=name)
    for group, count in GROUPS.items()
    for number, name in islice(NUMBERED, count)
]  # all 80 classes, which many configs expect
# MMPose's configs take the boxes for testing from this file.
DETECTIONS = 'person_detection_results/COCO_val2017_detections_AP_H_56_person.json'
ABOUT = dict(
    info=dict(description='Drawn people', version='1.0', year=2025),
    licenses=[dict(id=1, name='None: drawn from a seed', url='')],
)
# Points of COCO-WholeBody, and the least length in pixels of a box around them for
# which they count as clear enough to be labeled.
DETAILS = dict(
    foot=(slice(17, 23), 0),
    face=(slice(23, 91), 8),
    lefthand=(slice(91, 112), 6),
    righthand=(slice(112, 133), 6),
)


class Coco(FormatWriter):
    """Boxes, polygons and keypoints of visible people in scenes with one to six."""

    name = 'coco'
    usual_size = (256, 320)
    crowd = (6, 1)
    files = {
        'annotations/person_keypoints_{}2017.json': [PERSON],
        'annotations/instances_{}2017.json': OBJECTS,
    }

    def draw(self, split: str, number: int) -> tuple[dict, list[dict]]:
        scene = self.scene(split, number)
        # Numbers of images differ between the splits, as in COCO.
        number += 1 + self.before(split)
        name, (h, w) = f'{number:012}.jpg', self.size
        self.save_image(f'{split}2017/{name}', scene.image)
        annotations = []
        for i, person in enumerate(scene.people):
            mask = scene.instances == i + 1
            if mask.any():
                keys = self.annotate_person(person, mask)
                annotations.append(dict(image_id=number) | keys)
        image = dict(id=number, license=1, file_name=name, height=h, width=w)
        return image, annotations

    def annotate_person(self, person: Person, mask: np.ndarray) -> dict:
        """Return the keys of an annotation; mask: bool [h, w], not empty."""
        polygons, area = outline(mask)
        return dict(
            category_id=1,
            bbox=as_xywh(person.visible_box),
            area=area,
            iscrowd=0,
            segmentation=polygons,
            keypoints=_flat(person.keypoints),
            num_keypoints=int((person.keypoints[:, 2] > 0).sum()),
        )

    def annotate(self, records: dict[str, list]) -> None:
        for split, chosen in records.items():
            content = ABOUT | contents(chosen, 1 if split == 'train' else 1_000_001)
            for path, categories in self.files.items():
                content['categories'] = categories
                self.save_text(path.format(split), json.dumps(content))
        perfect = [
            {key: each[key] for key in ('image_id', 'category_id', 'bbox')}
            | dict(score=1.0)
            for _, annotations in records['val']
            for each in annotations
        ]
        self.save_text(DETECTIONS, json.dumps(perfect))


class CocoWholeBody(Coco):
    """The same people with feet, faces and hands."""

    name = 'coco-wholebody'
    usual_size = (384, 480)
    files = {'annotations/coco_wholebody_{}_v1.0.json': [PERSON]}

    def annotate_person(self, person: Person, mask: np.ndarray) -> dict:
        annotation = super().annotate_person(person, mask)
        for name, (points, least) in DETAILS.items():
            points = person.whole_body[points]
            inside = points[points[:, 2] > 0, :2]
            low, high = np.zeros(2), np.zeros(2)
            if len(inside):
                low, high = inside.min(0), inside.max(0)
            seen = (points[:, 2] == 2).mean()
            valid = bool(seen >= 0.3 and (high - low).max() >= least)
            annotation[f'{name}_kpts'] = _flat(points * valid)
            annotation[f'{name}_valid'] = valid
            if name != 'foot':
                box = np.concatenate([low, high]) * valid
                annotation[f'{name}_box'] = as_xywh(box.astype(np.float32))
        return annotation


def contents(chosen: list[tuple[dict, list[dict]]], first: int) -> dict:
    """Images and their annotations, which are numbered from ``first``."""
    annotations = (each for _, several in chosen for each in several)
    return dict(
        images=[image for image, _ in chosen],
        annotations=[dict(id=i) | each for i, each in enumerate(annotations, first)],
    )


def _flat(keypoints):
    """Return x, y, v of all keypoints in one list; v is an integer."""
    rows = np.round(keypoints.astype(np.float64), 2).tolist()
    return [number for x, y, v in rows for number in (x, y, int(v))]


def outline(mask):
    """Return polygons around a mask (bool [h, w]) and their area; holes are filled.

    The polygons run a quarter of a pixel inside the border of the pixels: filled by
    COCO's rules, they give the same pixels.
    """
    twice = mask.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    outer = cv2.findContours(twice, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    filled = cv2.drawContours(np.zeros_like(twice), outer, -1, 1, cv2.FILLED)
    polygons = [((line.reshape(-1) + 0.5) / 2).tolist() for line in outer]
    return polygons, int(filled.sum()) // 4
