"""COCO and COCO-WholeBody.

Layout and keys: https://cocodataset.org/#format-data and
https://github.com/jin-s13/COCO-WholeBody/blob/master/data_format.md
"""

import cv2
import numpy as np

from ..labels import KEYPOINTS, Person
from ..scene import label_scene
from .folder import FormatWriter, Shot, as_xywh

MAX_PEOPLE = 6
SKELETON = (
    (16, 14),
    (14, 12),
    (17, 15),
    (15, 13),
    (12, 13),
    (6, 12),
    (7, 13),
    (6, 7),
    (6, 8),
    (7, 9),
    (8, 10),
    (9, 11),
    (2, 3),
    (1, 2),
    (1, 3),
    (2, 4),
    (3, 5),
    (4, 6),
    (5, 7),
)  # numbers of keypoints, from 1
# COCO's 80 classes; its numbers go up to 90.
CLASSES = {
    'person': 'person',
    'vehicle': 'bicycle,car,motorcycle,airplane,bus,train,truck,boat',
    'outdoor': 'traffic light,fire hydrant,stop sign,parking meter,bench',
    'animal': 'bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe',
    'accessory': 'backpack,umbrella,handbag,tie,suitcase',
    'sports': 'frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,'
    'skateboard,surfboard,tennis racket',
    'kitchen': 'bottle,wine glass,cup,fork,knife,spoon,bowl',
    'food': 'banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake',
    'furniture': 'chair,couch,potted plant,bed,dining table,toilet',
    'electronic': 'tv,laptop,mouse,remote,keyboard,cell phone',
    'appliance': 'microwave,oven,toaster,sink,refrigerator',
    'indoor': 'book,clock,vase,scissors,teddy bear,hair drier,toothbrush',
}
# MMPose's configs take the boxes for testing from this file.
DETECTIONS = 'person_detection_results/COCO_val2017_detections_AP_H_56_person.json'
UNUSED = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
# Points of COCO-WholeBody, and the least length in pixels of a box around them for
# them to count as clear enough to be labeled.
DETAILS = dict(
    foot=(slice(17, 23), 0),
    face=(slice(23, 91), 8),
    lefthand=(slice(91, 112), 6),
    righthand=(slice(112, 133), 6),
)


class Coco(FormatWriter):
    """Scenes with one to six people; boxes, polygons and keypoints of whom is seen."""

    name = 'coco'
    usual_size = (256, 320)

    def write(self, shot: Shot) -> tuple[dict, list[dict]]:
        seed = self.seed_of(shot.split)
        scene = label_scene(seed, shot.number, self.size, MAX_PEOPLE, 1)
        # Numbers of images differ between the splits, as in COCO.
        number = shot.number + 1 + self.num * (shot.split == 'val')
        image = dict(
            id=number,
            license=1,
            file_name=f'{number:012}.jpg',
            height=self.size[0],
            width=self.size[1],
        )
        self.save_image(f'{shot.split}2017/{image["file_name"]}', scene.image)
        annotations = []
        for i, person in enumerate(scene.people):
            mask = scene.instances == i + 1
            if mask.any():
                annotations.append(dict(image_id=number) | self.annotate(person, mask))
        return image, annotations

    def annotate(self, person: Person, mask: np.ndarray) -> dict:
        """Keys of an annotation; mask: bool [h, w], not empty."""
        polygons, area = outline(mask)
        return dict(
            category_id=1,
            bbox=as_xywh(person.visible_box),
            area=area,
            iscrowd=0,
            segmentation=polygons,
            keypoints=flat(person.keypoints),
            num_keypoints=int((person.keypoints[:, 2] > 0).sum()),
        )

    def finish(self, records) -> None:
        for split, chosen in self.by_split(records).items():
            annotations = number(chosen, split)
            if split == 'val':
                self.save_json(DETECTIONS, [detect(a) for a in annotations])
            self.save_annotations(split, [i for i, _ in chosen], annotations)

    def save_annotations(self, split, images, annotations):
        """Write the files of a split."""
        for kind, categories in (
            ('person_keypoints', keypoint_categories()),
            ('instances', object_categories()),
        ):
            content = describe(images, annotations, categories)
            self.save_json(f'annotations/{kind}_{split}2017.json', content)


class CocoWholeBody(Coco):
    """The same with feet, faces and hands."""

    name = 'coco-wholebody'
    usual_size = (384, 480)

    def annotate(self, person: Person, mask: np.ndarray) -> dict:
        annotation = super().annotate(person, mask)
        for name, (points, least) in DETAILS.items():
            points = person.whole_body[points]
            inside = points[points[:, 2] > 0, :2]
            low, high = np.zeros(2), np.zeros(2)
            if len(inside):
                low, high = inside.min(0), inside.max(0)
            seen = (points[:, 2] == 2).mean()
            valid = bool(seen >= 0.3 and (high - low).max() >= least)
            annotation[f'{name}_kpts'] = flat(points * valid)
            annotation[f'{name}_valid'] = valid
            if name != 'foot':
                box = np.concatenate([low, high]) * valid
                annotation[f'{name}_box'] = as_xywh(box.astype(np.float32))
        return annotation

    def save_annotations(self, split, images, annotations):
        content = describe(images, annotations, keypoint_categories())
        self.save_json(f'annotations/coco_wholebody_{split}_v1.0.json', content)


def number(records: list, split: str) -> list[dict]:
    """All annotations of a split, each with an id of its own."""
    first = 1 if split == 'train' else 1_000_001
    annotations = [a for _, several in records for a in several]
    return [dict(id=first + i) | a for i, a in enumerate(annotations)]


def detect(annotation: dict) -> dict:
    """A detection without error."""
    kept = {key: annotation[key] for key in ('image_id', 'category_id', 'bbox')}
    return kept | dict(score=1.0)


def describe(images: list, annotations: list, categories: list) -> dict:
    """Content of an annotation file."""
    return dict(
        info=dict(description='Drawn people', version='1.0', year=2025),
        licenses=[dict(id=1, name='None: drawn from a seed', url='')],
        images=images,
        annotations=annotations,
        categories=categories,
    )


def keypoint_categories() -> list[dict]:
    """The person, with the names of the keypoints."""
    person = dict(supercategory='person', id=1, name='person')
    return [person | dict(keypoints=KEYPOINTS, skeleton=SKELETON)]


def object_categories() -> list[dict]:
    """All 80 classes, so that configs for all of them find theirs."""
    numbers = iter(i for i in range(1, 91) if i not in UNUSED)
    return [
        dict(supercategory=group, id=next(numbers), name=name)
        for group, names in CLASSES.items()
        for name in names.split(',')
    ]


def flat(keypoints: np.ndarray) -> list:
    """x, y, v of all keypoints in one list; v is an integer."""
    numbers = []
    for x, y, visible in np.round(keypoints.astype(np.float64), 2).tolist():
        numbers += [x, y, int(visible)]
    return numbers


def outline(mask: np.ndarray) -> tuple[list[list[float]], int]:
    """Polygons around a mask (bool [h, w]) and their area in pixels; holes are filled.

    The polygons run a quarter of a pixel inside the border of the pixels: filled by
    COCO's rules, they give the same pixels.
    """
    twice = mask.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    outer = cv2.findContours(twice, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    filled = cv2.drawContours(np.zeros_like(twice), outer, -1, 1, cv2.FILLED)
    polygons = [((line.reshape(-1) + 0.5) / 2).tolist() for line in outer]
    return polygons, int(filled.sum()) // 4
