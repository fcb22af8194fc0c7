"""Annotations that make a library fail are named before it does."""

import json
from contextlib import suppress

import pytest
from mmengine.registry import DATASETS
from written_formats import quietly

from saip_mm.data.checks.coco import BOXES, POSE, check_coco
from saip_mm.data.checks.files import check_annotations
from saip_mm.training import SafeRunner

PATH = 'people.json'


def person(number: int, image: int) -> dict:
    return dict(
        id=number,
        image_id=image,
        category_id=1,
        bbox=[5 + number, 5, 20, 40],
        area=800,
        iscrowd=0,
        num_keypoints=17,
        keypoints=[v for k in range(17) for v in (10 + number, 10 + k, 2)],
    )


@pytest.fixture
def people():
    """Three people on two images."""
    return dict(
        images=[dict(id=i, file_name=f'{i}.jpg', height=60, width=80) for i in (1, 2)],
        annotations=[person(1, 1), person(2, 1), person(3, 2)],
        categories=[dict(id=1, name='person')],
    )


def put(key, value, position=1, records='annotations'):
    return lambda content: content[records][position].update({key: value})


def drop(key, position=1, records='annotations'):
    return lambda content: content[records][position].pop(key)


def drop_categories(content):
    return content.pop('categories')


def string_ids(content) -> None:
    put('id', '2', 1, 'images')(content)
    put('image_id', '2', 2)(content)


def config_of(root, library, **more) -> dict:
    files = dict(data_root=str(root), ann_file=PATH, data_prefix=dict(img=''))
    if library == 'mmdet':
        more['metainfo'] = dict(classes=('person',))
    return dict(files, type=f'{library}.CocoDataset', **more)


def count_people(root, library) -> int | None:
    """Return how many people a library would train on; None if it fails."""
    try:
        dataset = quietly(DATASETS.build, config_of(root, library))
        entries = [dataset.get_data_info(i) for i in range(len(dataset))]
        if library == 'mmdet':
            return sum(not i['ignore_flag'] for e in entries for i in e['instances'])
        keypoints = [each['keypoints'].reshape(17, 2) for each in entries]
        return len({points.tobytes() for points in keypoints})
    except Exception:
        return None


BOTH = 'mmdet mmpose'
FAULTS = [  # libraries that fail, change, message
    (BOTH, put('id', 1), 'annotation 1 appears twice'),
    (BOTH, drop('id'), r'annotations\[1\] has no "id"'),
    (BOTH, drop('image_id'), '2 has no "image_id"'),
    (BOTH, drop('category_id'), '2 has no "category_id"'),
    (BOTH, put('image_id', '1'), r"""2: "image_id" is '1' \(str\), but the id is 1"""),
    ('mmdet', put('category_id', '1'), r"""2: "category_id" is '1' \(str\), but the"""),
    ('mmpose', string_ids, "image '2' has a string as id"),
    (BOTH, put('bbox', None), '2: "bbox" is null, and'),
    (BOTH, put('bbox', [1, 2, 3]), '2: "bbox" is'),
    ('mmdet', drop('bbox'), '2 has no "bbox", which MMDetection needs'),
    ('mmdet', drop('area'), '2 has no "area", which MMDetection needs'),
    (BOTH, put('iscrowd', '0'), '2: "iscrowd" is \'0\', and should be 0 or 1'),
    ('mmpose', put('keypoints', [5, 5, 2] * 14), '42 numbers, .* config expects 51'),
    ('mmpose', put('keypoints', None), '2: "keypoints" is'),
    (BOTH, drop('width', 0, 'images'), 'image 1 has no "width"'),
    (BOTH, put('id', 1, 1, 'images'), 'image 1 appears twice'),
    ('mmdet', drop_categories, 'has no "categories", which'),
    (
        'mmdet',
        put('name', 'people', 0, 'categories'),
        'its categories are people, and the config expects person',
    ),
]


@pytest.mark.parametrize(
    'library, change, message',
    [
        pytest.param(library, change, message, id=f'{library}-{number}')
        for number, (libraries, change, message) in enumerate(FAULTS)
        for library in libraries.split()
    ],
)
def test_annotations_that_break_a_library(library, change, message, people, tmp_path):
    """The library fails or drops people, and the message names the record."""
    pytest.importorskip(f'{library}.datasets')
    config = config_of(tmp_path, library)
    path = tmp_path / PATH
    path.write_text(json.dumps(people))
    assert check_annotations(config) == []
    assert count_people(tmp_path, library) == 3
    change(people)
    path.write_text(json.dumps(people))
    for wrapped in (config, dict(type='RepeatDataset', times=2, dataset=config)):
        with pytest.raises(ValueError, match=f'{path}.*{message}'):
            check_annotations(wrapped)
    assert (count_people(tmp_path, library) or 0) < 3


@pytest.mark.parametrize(
    'kind, change, message',
    [
        ('bbox', drop('iscrowd'), '2 has no "iscrowd"'),
        ('bbox', drop_categories, 'has no "categories"'),
        ('keypoints', drop('area'), '2 has no "area"'),
        ('keypoints', drop('keypoints'), '2 has no "keypoints"'),
    ],
)
def test_annotations_that_break_a_metric(kind, change, message, people, tmp_path):
    library = dict(bbox='mmdet', keypoints='mmpose')[kind]
    pytest.importorskip(f'{library}.evaluation')
    path = tmp_path / PATH
    metric = dict(type=f'{library}.CocoMetric', ann_file=str(path))
    runner = object.__new__(SafeRunner)
    path.write_text(json.dumps(people))
    quietly(runner.build_evaluator, metric)
    change(people)
    path.write_text(json.dumps(people))
    with pytest.raises(ValueError, match=f'{PATH}.*{message}'):
        quietly(runner.build_evaluator, metric)


def detection(**changes) -> dict:
    box = dict(image_id=1, category_id=1, bbox=[1, 2, 20, 40], score=0.5) | changes
    return {key: value for key, value in box.items() if value is not None}


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(image_id=None), r'detections\[1\] has no "image_id"'),
        (dict(image_id='1'), r"is '1' \(str\), but the id is 1 \(int\)"),
        (dict(image_id=9), 'belongs to image 9, which the annotations do not have'),
        (dict(category_id='1'), r"\"category_id\" is '1' \(str\)"),
        (dict(score=None), 'has no "score"'),
        (dict(bbox=[1, 2]), '"bbox" is'),
    ],
)
def test_detections_that_break_mmpose(changes, message, people, tmp_path):
    pytest.importorskip('mmpose.datasets')
    boxes = tmp_path / 'boxes.json'
    config = config_of(tmp_path, 'mmpose', bbox_file=str(boxes), test_mode=True)
    (tmp_path / PATH).write_text(json.dumps(people))
    others = [detection(), detection(image_id=2), detection(category_id=3, image_id=7)]
    boxes.write_text(json.dumps(others))
    assert check_annotations(config) == []
    assert len(quietly(DATASETS.build, config)) == 2
    boxes.write_text(json.dumps([detection(), detection(**changes)]))
    with pytest.raises(ValueError, match=f'{boxes}.*{message}'):
        check_annotations(config)
    with suppress(KeyError, ValueError, IndexError, TypeError):
        assert len(quietly(DATASETS.build, config)) < 2


def test_annotations_without_effect_are_counted(people, tmp_path):
    def lines(reader):
        return list(check_coco(tmp_path / PATH, people, reader))

    body = POSE._replace(keypoints=dict(keypoints=17))
    assert lines(body) == lines(BOXES) == []
    people['annotations'][1]['bbox'][2] = 0
    people['annotations'][2]['keypoints'] = [0] * 51
    flat, unseen = lines(body)
    assert '1 of 3 boxes have no area' in flat and 'for example annotation 2' in flat
    assert '1 of 3 people have no visible keypoint' in unseen
    people['annotations'][1].update(bbox=[1, 2, 3, 4], area=0)
    assert '1 of 3 boxes have no area' in lines(BOXES)[0]
    del people['annotations'][0]['keypoints']
    assert '1 of 3 annotations have no bbox or no keypoints' in lines(body)[0]
    people['annotations'][1]['image_id'] = 9
    assert '1 annotations belong to images that are not listed' in lines(body)[0]


@pytest.mark.parametrize(
    'kind, file, boxes',
    [
        ('mmdet.CocoDataset', 'coco/test_coco.json', None),
        (
            'mmpose.CocoDataset',
            'coco/test_coco.json',
            'coco/test_coco_det_AP_H_56.json',
        ),
        ('mmpose.CocoWholeBodyDataset', 'coco/test_coco_wholebody.json', None),
        ('mmpose.AicDataset', 'aic/test_aic.json', None),
        ('mmpose.CrowdPoseDataset', 'crowdpose/test_crowdpose.json', '*_det_*.json'),
        ('mmpose.MpiiDataset', 'mpii/test_mpii.json', None),
        ('mmpose.MpiiTrbDataset', 'mpii/test_mpii_trb.json', None),
    ],
)
def test_real_annotations_pass(kind, file, boxes, test_data):
    pytest.importorskip(f'{kind.partition(".")[0]}.datasets')
    config = dict(type=kind, data_root=str(test_data / 'real'), ann_file=file)
    check_annotations(config)
    if boxes:
        folder = (test_data / 'real' / file).parent
        (path,) = folder.glob(boxes.rpartition('/')[2])
        config.update(bbox_file=str(path), test_mode=True)
        assert check_annotations(config) == []
