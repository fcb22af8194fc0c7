"""Checks of COCO annotations for what OpenMMLab's readers and metrics cannot handle.

Their own errors name neither file nor record, some appear only at the first validation,
and some people are dropped silently.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..coco import Record, id_text, records, records_by_id


class Reader(NamedTuple):
    """Reader of annotations, with the fields that it uses.

    Attributes:
        name: Name in messages.
        required: Fields without which an annotation makes it fail.
        optional: Fields of annotations that may be missing, but not invalid.
        images: Fields without which an image makes it fail.
        keypoints: Number of keypoints by field.
        categories: Whether it fails without "categories".
    """

    name: str
    required: str
    optional: str = 'iscrowd'
    images: str = 'id file_name height width'
    keypoints: Mapping[str, int] = {}
    categories: bool = True


WHOLE_BODY = dict(
    keypoints=17, foot_kpts=6, face_kpts=68, lefthand_kpts=21, righthand_kpts=21
)
ALL_PARTS = ' '.join(WHOLE_BODY)
IDS = 'id image_id category_id'
BOXES = Reader('MMDetection', f'{IDS} bbox area')
BOX_SCORES = Reader("MMDetection's CocoMetric", f'{IDS} bbox area iscrowd', '', 'id')
POSE = Reader('MMPose', IDS, 'bbox keypoints iscrowd', categories=False)
POSE_SCORES = Reader("MMPose's CocoMetric", f'{IDS} bbox keypoints', images='id')
WHOLE_BODIES = Reader(
    "MMPose's CocoWholeBodyDataset",
    f'{IDS} bbox num_keypoints segmentation {ALL_PARTS}',
    keypoints=WHOLE_BODY,
    categories=False,
)
WHOLE_BODY_SCORES = Reader(
    "MMPose's CocoWholeBodyMetric",
    f'{IDS} bbox {ALL_PARTS}',
    images='id',
    keypoints=WHOLE_BODY,
)


def check_coco(
    path: Path, content: Any, reader: Reader, classes: Sequence[str] = ()
) -> Iterator[str]:
    """Check the content of a COCO-style annotation file.

    Args:
        path: The file, for messages.
        content: Its content.
        reader: What is going to read it.
        classes: Names of categories, at least one of which must exist.

    Yields:
        One line per reason why annotations have no effect.

    Raises:
        ValueError: The reader would fail or drop data; names the record.
    """
    images = image_ids(path, content, reader)
    categories = _category_ids(path, content, reader, classes)
    strays, people = 0, 0
    useless: dict[str, list[str]] = {}
    annotations = records_by_id(path, content, 'annotations', IDS, reader.name)
    for record in annotations.values():
        if reader is BOXES and record.get('ignore'):
            continue
        record.check(reader.required, reader.optional)
        _check_keypoints(record, reader.keypoints)
        if categories:
            _is_known(record, 'category_id', categories)
        if not _is_known(record, 'image_id', images):
            strays += 1
            continue
        people += 1
        for reason in _useless(record, reader):
            useless.setdefault(reason, []).append(record.where)
    if strays:
        yield f'{path}: {strays} annotations belong to images that are not listed'
    for reason, names in useless.items():
        example = names[0].removeprefix(f'{path}: ')
        yield f'{path}: {len(names)} of {people} {reason}, for example {example}'


def _useless(record: Record, reader: Reader) -> Iterator[str]:
    """Yield the reasons why a valid annotation has no effect."""
    if reader.name == POSE.name and not {'bbox', 'keypoints'} <= record.keys():
        yield 'annotations have no bbox or no keypoints, and are skipped'
    area = record['area'] if reader is BOXES else 1
    if (box := record.get('bbox')) and min(*box[2:], area) <= 0:
        yield 'boxes have no area, and are not used for training'
    keypoints = record.get('keypoints')
    reads_keypoints = 'keypoints' in f'{reader.required} {reader.optional}'
    if reads_keypoints and keypoints and not any(keypoints[2::3]):
        yield 'people have no visible keypoint, and their pose is not used'


def image_ids(path: Path, content: Any, reader: Reader) -> dict[str, object]:
    """Check all images, and return their ids by :func:`id_text`."""
    images = records_by_id(path, content, 'images', reader.images, reader.name)
    for record in images.values():
        if isinstance(record['id'], str) and reader.name.startswith('MMPose'):
            raise ValueError(
                f'{record.where} has a string as id, and MMPose supports numbers only; '
                'number the images'
            )
    return {key: record['id'] for key, record in images.items()}


def check_detections(path: Path, content: object, images: dict[str, object]) -> None:
    """Check a file of detected people, on which MMPose evaluates.

    Args:
        path: The file, for messages.
        content: Its content.
        images: The :func:`image_ids` of the annotations.

    Raises:
        ValueError: MMPose would fail or drop people; names the record.
    """
    if not isinstance(content, list):
        raise ValueError(
            f'{path}: holds a {type(content).__name__} instead of a list of detections'
        )
    for record in records(path, dict(detections=content), 'detections', 'MMPose'):
        if isinstance(box := record.get('bbox'), list):
            record['bbox'] = box[:4]
        record.check('image_id category_id bbox score')
        if not _is_known(record, 'category_id', {'1': 1}):
            continue  # not a person
        if not _is_known(record, 'image_id', images):
            raise ValueError(
                f'{record.where} belongs to image {record["image_id"]!r}, which the '
                'annotations do not have; use detections of these images'
            )


def _category_ids(
    path: Path, content: Any, reader: Reader, classes: Sequence[str]
) -> dict[str, object]:
    if 'categories' not in content and reader.categories:
        raise ValueError(
            f'{path}: has no "categories", which {reader.name} needs; add for example '
            '[{"id": 1, "name": "person"}]'
        )
    required = 'id name' if classes else 'id'
    found = records_by_id(path, content, 'categories', required, reader.name)
    names = [record['name'] for record in found.values()] if classes else []
    if classes and not set(names) & set(classes):
        raise ValueError(
            f'{path}: its categories are {", ".join(names[:8]) or "none"}, and the '
            f'config expects {", ".join(classes[:8])}; rename either'
        )
    return {key: record['id'] for key, record in found.items()}


def _check_keypoints(record: Record, counts: Mapping[str, int]) -> None:
    for key, count in counts.items():
        points = record.get(key, ())
        if len(points) % 3 or (any(points) and len(points) != 3 * count):
            raise ValueError(
                f'{record.where}: "{key}" has {len(points)} numbers, and the config '
                f'expects {3 * count}, three for each of {count} keypoints; use '
                'annotations with these keypoints or change the config'
            )


def _is_known(record: Record, key: str, known: dict[str, object]) -> bool:
    """Return whether an id exists; raises ValueError if it has another type there."""
    value = record.get(key)
    other = known.get(id_text(value))
    if other is not None and other != value:
        raise ValueError(
            f'{record.where}: "{key}" is {value!r} ({type(value).__name__}), but the '
            f'id is {other!r} ({type(other).__name__}), so the record would be '
            'ignored; use the same type'
        )
    return other is not None
