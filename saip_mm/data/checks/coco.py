"""What makes OpenMMLab's readers and metrics fail in COCO annotations.

Their own errors name neither file nor record, some come at the first validation, and
some people are left out without a word.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..coco import by_id, check_record, id_text, records


class Reader(NamedTuple):
    """What reads annotations, and which keys of each record."""

    name: str
    needed: str
    """It fails if one of these is missing in an annotation."""
    read: str = 'iscrowd'
    """These may be missing, but not be something else."""
    images: str = 'id file_name height width'
    """It fails if one of these is missing in an image."""
    keypoints: Mapping[str, int] = {}
    """How many there are to be, by key."""
    categories: bool = True
    """Whether it fails without "categories"."""


WHOLE_BODY = dict(
    keypoints=17, foot_kpts=6, face_kpts=68, lefthand_kpts=21, righthand_kpts=21
)
ALL_PARTS = ' '.join(WHOLE_BODY)
INDEX = 'id image_id category_id'
BOXES = Reader('MMDetection', f'{INDEX} bbox area')
BOX_SCORES = Reader("MMDetection's CocoMetric", f'{INDEX} bbox area iscrowd', '', 'id')
POSE = Reader('MMPose', INDEX, 'bbox keypoints iscrowd', categories=False)
POSE_SCORES = Reader("MMPose's CocoMetric", f'{INDEX} bbox keypoints', images='id')
WHOLE_BODIES = Reader(
    "MMPose's CocoWholeBodyDataset",
    f'{INDEX} bbox num_keypoints segmentation {ALL_PARTS}',
    keypoints=WHOLE_BODY,
    categories=False,
)
WHOLE_BODY_SCORES = Reader(
    "MMPose's CocoWholeBodyMetric",
    f'{INDEX} bbox {ALL_PARTS}',
    images='id',
    keypoints=WHOLE_BODY,
)


def check_coco(
    path: Path, content: Any, reader: Reader, classes: Sequence[str] = ()
) -> Iterator[str]:
    """Check the content of a file of annotations like COCO's.

    Args:
        path: The file, for messages.
        content: What is in it.
        reader: What is going to read it.
        classes: Names of categories, one of which at least has to be there.

    Yields:
        What is left out or of no use, a line per reason.

    Raises:
        ValueError: If the reader would fail, or leave something out that is there; the
            record is named.
    """
    images = image_ids(path, content, reader)
    categories = _category_ids(path, content, reader, classes)
    people, strays, ids = [], 0, set()
    for where, record in records(path, content, 'annotations'):
        check_record(where, record, INDEX, '', reader.name)
        if record['id'] in ids:
            raise ValueError(
                f'{where} is there twice, and one of them would be lost; give each '
                'annotation an id of its own'
            )
        ids.add(record['id'])
        if reader is BOXES and record.get('ignore'):
            continue
        check_record(where, record, reader.needed, reader.read, reader.name)
        _check_keypoints(where, record, reader.keypoints)
        if categories:
            _is_known(where, record, 'category_id', categories)
        if _is_known(where, record, 'image_id', images):
            people.append((where, record))
        else:
            strays += 1
    if strays:
        yield f'{path}: {strays} annotations are of images that it does not have'
    yield from _of_no_use(path, people, reader)


def image_ids(path: Path, content: Any, reader: Reader) -> dict[str, object]:
    """The ids of images, by their texts, once all images are checked."""
    images = by_id(path, content, 'images', reader.images, reader.name)
    ids = {key: image['id'] for key, (_, image) in images.items()}
    for each in ids.values():
        if isinstance(each, str) and reader.name.startswith('MMPose'):
            raise ValueError(
                f'{path}: image {each!r} has a text for an id, and MMPose takes '
                'numbers only; number the images'
            )
    return ids


def check_detections(path: Path, content: object, images: dict[str, object]) -> None:
    """Check a file of detected people, with whom MMPose tests.

    ``images`` are the :func:`image_ids` of the annotations.

    Raises:
        ValueError: If MMPose would fail, or leave somebody out; the record is named.
    """
    if not isinstance(content, list):
        raise ValueError(
            f'{path}: holds a {type(content).__name__}, and not a list of detections'
        )
    for where, record in records(path, dict(detections=content), 'detections'):
        if isinstance(box := record.get('bbox'), list):
            record = record | dict(bbox=box[:4])
        check_record(where, record, 'image_id category_id bbox score', '', 'MMPose')
        if not _is_known(where, record, 'category_id', {'1': 1}):
            continue  # no person
        if not _is_known(where, record, 'image_id', images):
            raise ValueError(
                f'{where} is of image {record["image_id"]!r}, which the annotations do '
                'not have; use the detections of these images'
            )


def _category_ids(
    path: Path, content: Any, reader: Reader, classes: Sequence[str]
) -> dict[str, object]:
    if 'categories' not in content and reader.categories:
        raise ValueError(
            f'{path}: has no "categories", which {reader.name} needs; add '
            '[{"id": 1, "name": "person"}] or the like'
        )
    needed = 'id name' if classes else 'id'
    found = by_id(path, content, 'categories', needed, reader.name)
    names = [record['name'] for _, record in found.values()] if classes else []
    if classes and not set(names) & set(classes):
        raise ValueError(
            f'{path}: its categories are {", ".join(names[:8]) or "none"}, and the '
            f'config looks for {", ".join(classes[:8])}; rename either'
        )
    return {key: record['id'] for key, (_, record) in found.items()}


def _check_keypoints(where: str, record: dict, counts: Mapping[str, int]) -> None:
    for key, count in counts.items():
        points = record.get(key, ())
        if len(points) % 3 or (any(points) and len(points) != 3 * count):
            raise ValueError(
                f'{where}: "{key}" has {len(points)} numbers, and the config expects '
                f'{3 * count}, three for each of {count} keypoints; give annotations '
                'with these, or change the config'
            )


def _is_known(where: str, record: dict, key: str, known: dict[str, object]) -> bool:
    """Whether ids have one; it is an error if only of another type."""
    value = record.get(key)
    other = known.get(id_text(value))
    if other is not None and other != value:
        raise ValueError(
            f'{where}: "{key}" is {value!r} ({type(value).__name__}), but the id is '
            f'{other!r} ({type(other).__name__}), so that it would be left out; write '
            'both alike'
        )
    return other is not None


def _of_no_use(
    path: Path, people: list[tuple[str, dict]], reader: Reader
) -> Iterator[str]:
    reads_keypoints = 'keypoints' in f'{reader.needed} {reader.read}'
    unread, flat, unseen = [], [], []
    for where, record in people:
        if reader.name == POSE.name and not {'bbox', 'keypoints'} <= record.keys():
            unread.append(where)
        area = record['area'] if reader is BOXES else 1
        if (box := record.get('bbox')) and min(*box[2:], area) <= 0:
            flat.append(where)
        keypoints = record.get('keypoints')
        if reads_keypoints and keypoints and not any(keypoints[2::3]):
            unseen.append(where)
    for names, what in (
        (unread, 'annotations have no bbox or no keypoints, and are left out'),
        (flat, 'boxes have no area, and nothing is learned from them'),
        (unseen, 'people have no visible keypoint, and no pose is learned from them'),
    ):
        if names:
            name = names[0].removeprefix(f'{path}: ')
            yield f'{path}: {len(names)} of {len(people)} {what}; {name} is one'
