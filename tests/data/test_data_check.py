"""Data that are not there, or of no use, are named before a training begins."""

import json
from contextlib import suppress

import numpy as np
import pytest
from mmengine.dataset import BaseDataset, ConcatDataset
from mmengine.registry import DATASETS
from mmpretrain.registry import TRANSFORMS
from PIL import Image
from written_formats import quietly, write

from saip_mm.data.checks.coco import (
    BOXES,
    POSE,
    check_coco,
)
from saip_mm.data.checks.crowdhuman import read_crowdhuman
from saip_mm.data.checks.files import (
    check_annotations,
    check_images,
    check_places,
    name_files_in_errors,
)
from saip_mm.training import SafeRunner

ANN = 'annotations/person_keypoints_train2017.json'


def coco(root) -> dict:
    return dict(data_root=str(root), ann_file=ANN, data_prefix=dict(img='train2017/'))


def test_another_layout(tmp_path):
    write('coco', tmp_path / 'coco')
    check_places(coco(tmp_path / 'coco'))
    (tmp_path / 'coco/train2017').rename(tmp_path / 'coco/train')
    with pytest.raises(
        FileNotFoundError, match='coco/train2017: there is no .*holds annot.*set data_r'
    ):
        check_places(dict(type='RepeatDataset', dataset=coco(tmp_path / 'coco')))
    with pytest.raises(FileNotFoundError, match='none/annotations/.*holds coco'):
        check_places(dict(datasets=[coco(tmp_path / 'none')]))


def test_missing_images(tmp_path):
    datasets = pytest.importorskip('mmpose.datasets')
    write('coco', tmp_path)
    dataset = datasets.CocoDataset(**coco(tmp_path))
    check_images(dataset)
    lost = tmp_path / 'train2017/000000000003.jpg'
    lost.unlink()
    with pytest.raises(
        FileNotFoundError, match=rf'keypoints_train2017.json: 1 of \d files .*{lost}; '
    ):
        check_images(ConcatDataset([dataset]))


def test_nothing_left(tmp_path):
    pytest.importorskip('mmpose.datasets')
    write('coco', tmp_path)
    path = tmp_path / ANN
    path.write_text(json.dumps(json.loads(path.read_text()) | dict(annotations=[])))
    loader = dict(dataset=dict(coco(tmp_path), type='mmpose.CocoDataset'))
    with pytest.raises(ValueError, match='train2017.json.*: nothing is left'):
        SafeRunner.build_dataloader(loader)


BODY = POSE._replace(keypoints=dict(keypoints=17))
PATH = 'people.json'


def person(number: int, image: int, **more) -> dict:
    keypoints = [v for k in range(17) for v in (10 + number, 10 + k, 2)]
    return dict(
        id=number,
        image_id=image,
        category_id=1,
        bbox=[5 + number, 5, 20, 40],
        area=800,
        iscrowd=0,
        num_keypoints=17,
        keypoints=keypoints,
        **more,
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


def config_of(root, library, **more) -> dict:
    files = dict(data_root=str(root), ann_file=PATH, data_prefix=dict(img=''))
    if library == 'mmdet':
        more['metainfo'] = dict(classes=('person',))
    return dict(files, type=f'{library}.CocoDataset', **more)


def count_people(root, library) -> int | None:
    """Of how many people a library would learn; None if it fails."""
    try:
        dataset = quietly(DATASETS.build, config_of(root, library))
        entries = [dataset.get_data_info(i) for i in range(len(dataset))]
        if library == 'mmdet':
            return sum(not i['ignore_flag'] for e in entries for i in e['instances'])
        keypoints = [each['keypoints'].reshape(17, 2) for each in entries]
        return len({points.tobytes() for points in keypoints})
    except Exception:
        return None


# What the message says, who stumbles, and what is changed.
FAULTS = {
    'two of an id': ('annotation 1 is there twice', 'mmdet mmpose', put('id', 1)),
    'no id': (r'annotations\[1\] has no "id"', 'mmdet mmpose', drop('id')),
    'no image_id': ('2 has no "image_id"', 'mmdet mmpose', drop('image_id')),
    'no category_id': ('2 has no "category_id"', 'mmdet mmpose', drop('category_id')),
    'text for image_id': (
        r"2: \"image_id\" is '1' \(str\), but the id is 1 \(int\)",
        'mmdet mmpose',
        put('image_id', '1'),
    ),
    'text for category_id': (
        r"\"category_id\" is '1' \(str\), but the id is 1 \(int\)",
        'mmdet',
        put('category_id', '1'),
    ),
    'text for id of image': (
        "image '2' has a text for an id",
        'mmpose',
        lambda content: (
            put('id', '2', records='images')(content),
            put('image_id', '2', 2)(content),
        ),
    ),
    'null box': ('2: "bbox" is null, and', 'mmdet mmpose', put('bbox', None)),
    'short box': ('2: "bbox" is', 'mmdet mmpose', put('bbox', [1, 2, 3])),
    'no box': ('2 has no "bbox", which MMDetection', 'mmdet', drop('bbox')),
    'no area': ('2 has no "area", which MMD', 'mmdet', drop('area')),
    'text for iscrowd': (
        '2: "iscrowd" is \'0\', and should be 0 or 1',
        'mmdet mmpose',
        put('iscrowd', '0'),
    ),
    'other keypoints': (
        '2: "keypoints" has 42 numbers, and the config expects 51',
        'mmpose',
        put('keypoints', [5, 5, 2] * 14),
    ),
    'null keypoints': ('2: "keypoints" is', 'mmpose', put('keypoints', None)),
    'no width': (
        'image 1 has no "width"',
        'mmdet mmpose',
        drop('width', 0, 'images'),
    ),
    'two images of an id': (
        'image 1 is there twice',
        'mmdet mmpose',
        put('id', 1, 1, 'images'),
    ),
    'no categories': (
        'has no "categories", which MMD',
        'mmdet',
        lambda content: content.pop('categories'),
    ),
    'another class': (
        'its categories are people, and the config looks for person',
        'mmdet',
        put('name', 'people', 0, 'categories'),
    ),
}


@pytest.mark.parametrize(
    'library, fault',
    [
        (name, fault)
        for fault, (_, names, _) in FAULTS.items()
        for name in names.split()
    ],
)
def test_what_a_library_stumbles_over_is_named(library, fault, people, tmp_path):
    """And that it does: it fails, or learns of fewer people."""
    message, _, change = FAULTS[fault]
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


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16'])
@pytest.mark.parametrize('library', ['mmdet', 'mmpose'])
def test_byte_order_marks_are_named(library, encoding, people, tmp_path):
    pytest.importorskip(f'{library}.datasets')
    (tmp_path / PATH).write_bytes(json.dumps(people).encode(encoding))
    with pytest.raises(ValueError, match=f'{PATH}: begins with a byte-order mark'):
        check_annotations(config_of(tmp_path, library))
    assert count_people(tmp_path, library) is None


SCORE_FAULTS = {
    'no area': ('2 has no "area"', 'boxes keypoints', drop('area')),
    'no iscrowd': ('2 has no "iscrowd"', 'boxes', drop('iscrowd')),
    'no keypoints': ('2 has no "keypoints"', 'keypoints', drop('keypoints')),
    'no categories': (
        'has no "categories"',
        'boxes keypoints',
        lambda content: content.pop('categories'),
    ),
}


@pytest.mark.parametrize(
    'what, fault',
    [
        (what, fault)
        for fault, (_, all_, _) in SCORE_FAULTS.items()
        for what in all_.split()
    ],
)
def test_what_a_metric_stumbles_over_is_named(what, fault, people, tmp_path):
    """And that it does, by the package that scores."""
    message, _, change = SCORE_FAULTS[fault]
    library = dict(boxes='mmdet', keypoints='mmpose')[what]
    pytest.importorskip(f'{library}.evaluation')
    tools = dict(boxes='pycocotools', keypoints='xtcocotools')[what]
    api = pytest.importorskip(f'{tools}.coco').COCO
    evaluation = pytest.importorskip(f'{tools}.cocoeval').COCOeval

    def score():
        truth = api(str(tmp_path / PATH))
        found = [dict(each, score=1.0) for each in map(dict, people['annotations'])]
        found = [
            dict(person(each['id'], each['image_id']), score=1.0) for each in found
        ]
        arguments = [np.full(17, 0.05)] if what == 'keypoints' else []
        kind = dict(boxes='bbox', keypoints='keypoints')[what]
        done = evaluation(truth, truth.loadRes(found), kind, *arguments)
        done.evaluate()
        done.accumulate()
        done.summarize()
        return done.stats[0]

    def build():
        metric = dict(type=f'{library}.CocoMetric', ann_file=str(tmp_path / PATH))
        runner = object.__new__(SafeRunner)
        return quietly(runner.build_evaluator, metric)

    (tmp_path / PATH).write_text(json.dumps(people))
    build()
    assert quietly(score) == 1
    change(people)
    (tmp_path / PATH).write_text(json.dumps(people))
    with pytest.raises(ValueError, match=f'{PATH}.*{message}'):
        build()
    with pytest.raises((KeyError, AssertionError)):
        quietly(score)


def detection(**changes) -> dict:
    box = dict(image_id=1, category_id=1, bbox=[1, 2, 20, 40], score=0.5) | changes
    return {key: value for key, value in box.items() if value is not None}


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(image_id=None), r'detections\[1\] has no "image_id"'),
        (dict(image_id='1'), r"is '1' \(str\), but the id is 1 \(int\)"),
        (dict(image_id=9), 'is of image 9, which the annotations do not have'),
        (dict(category_id='1'), r"\"category_id\" is '1' \(str\)"),
        (dict(score=None), 'has no "score"'),
        (dict(bbox=[1, 2]), '"bbox" is'),
    ],
)
def test_detections_that_mmpose_stumbles_over_are_named(
    changes, message, people, tmp_path
):
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


def test_annotations_of_no_use_are_counted(people, tmp_path):
    def lines(reader):
        return list(check_coco(tmp_path / PATH, people, reader))

    assert lines(BODY) == lines(BOXES) == []
    people['annotations'][1]['bbox'][2] = 0
    people['annotations'][2]['keypoints'] = [0] * 51
    flat, unseen = lines(BODY)
    assert '1 of 3 boxes have no area' in flat and 'annotation 2 is one' in flat
    assert '1 of 3 people have no visible keypoint' in unseen
    people['annotations'][1].update(bbox=[1, 2, 3, 4], area=0)
    assert '1 of 3 boxes have no area' in lines(BOXES)[0]
    del people['annotations'][0]['keypoints']
    assert '1 of 3 annotations have no bbox or no keypoints' in lines(BODY)[0]
    people['annotations'][1]['image_id'] = 9
    assert '1 annotations are of images that it does not have' in lines(BODY)[0]


def test_other_annotations_are_left_alone(tmp_path):
    """Captions, say, and readers that are not of people."""
    config = dict(data_root=str(tmp_path), ann_file='captions.json')
    (tmp_path / 'captions.json').write_text(json.dumps([dict(caption='a man')]))
    assert check_annotations(config) == []
    assert check_annotations(dict(config, type='CustomDataset')) == []
    names = dict(config, ann_file='names.txt')
    (tmp_path / 'names.txt').write_text('a\n')
    assert check_annotations(names) == []
    (tmp_path / 'names.txt').write_text('a\n', encoding='utf-8-sig')
    with pytest.raises(ValueError, match='names.txt: .*byte-order mark'):
        check_annotations(names)


REAL = {
    'coco/test_coco.json': 'mmpose.CocoDataset mmdet.CocoDataset',
    'coco/test_coco_wholebody.json': 'mmpose.CocoWholeBodyDataset',
    'aic/test_aic.json': 'mmpose.AicDataset',
    'crowdpose/test_crowdpose.json': 'mmpose.CrowdPoseDataset',
    'mpii/test_mpii.json': 'mmpose.MpiiDataset',
    'mpii/test_mpii_trb.json': 'mmpose.MpiiTrbDataset',
}


@pytest.mark.parametrize('file', REAL)
def test_nothing_is_wrong_with_real_annotations(file, test_data):
    for kind in REAL[file].split():
        pytest.importorskip(f'{kind.partition(".")[0]}.datasets')
        config = dict(type=kind, data_root=str(test_data / 'real'), ann_file=file)
        check_annotations(config)
    for part in ('test_coco_det_AP_H_56.json', 'test_coco_wholebody.json'):
        assert (test_data / 'real/coco' / part).exists()


def test_nothing_is_wrong_with_real_detections(test_data):
    pytest.importorskip('mmpose.datasets')
    for name, kind in dict(coco='Coco', crowdpose='CrowdPose').items():
        folder = test_data / 'real' / name
        (boxes,) = folder.glob('*_det_*.json')
        config = dict(
            type=f'mmpose.{kind}Dataset',
            data_root=str(folder),
            ann_file=f'test_{name}.json',
            bbox_file=str(boxes),
            test_mode=True,
        )
        assert check_annotations(config) == []


def crowdhuman(root, **more) -> dict:
    return dict(
        type='mmdet.CrowdHumanDataset',
        data_root=str(root),
        ann_file='annotation_train.odgt',
        data_prefix=dict(img='Images/'),
        **more,
    )


def change_line(path, change) -> None:
    first, *others = path.read_text().splitlines()
    record = json.loads(first)
    change(record)
    path.write_text('\n'.join([json.dumps(record), *others]))


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda record: record.pop('ID'), 'has no "ID"'),
        (lambda record: record.pop('gtboxes'), 'has no "gtboxes"'),
        (
            lambda record: record['gtboxes'][0].pop('hbox'),
            r'gtboxes\[0\] has no "hbox"',
        ),
        (lambda record: record['gtboxes'][1].update(fbox=None), r'\[1\]: "fbox" is'),
        (
            lambda record: record['gtboxes'][0].update(extra=dict(ignore='0')),
            '"ignore" is \'0\'',
        ),
    ],
)
def test_records_of_crowdhuman_are_named(change, message, tmp_path):
    write('crowdhuman', tmp_path)
    path = tmp_path / 'annotation_train.odgt'
    assert len(read_crowdhuman(path)) == len(path.read_text().splitlines())
    change_line(path, change)
    with pytest.raises(ValueError, match=f'{path}:1.*{message}'):
        read_crowdhuman(path)


def test_lines_of_crowdhuman_are_named(tmp_path):
    write('crowdhuman', tmp_path)
    path = tmp_path / 'annotation_train.odgt'
    text = path.read_text()
    for wrong, message in (
        (text.encode('utf-8-sig'), 'begins with a byte-order mark'),
        (text.encode('utf-16'), 'begins with a byte-order mark'),
        (text.encode('utf-16-le'), 'not JSON'),
        (text.replace('\n', '\n\n', 1).encode(), 'odgt:2: not JSON'),
        ((text.splitlines()[0] + '\n' + text).encode(), 'odgt:2: .* is there twice'),
    ):
        path.write_bytes(wrong)
        with pytest.raises(ValueError, match=message):
            read_crowdhuman(path)


@pytest.mark.parametrize('content', [None, '{"a": [1,', '{}', '[]', '{"ID": null}'])
def test_sizes_of_crowdhuman_are_renewed(content, tmp_path):
    """What MMDetection trusts is cut, of other images, or not there."""
    datasets = pytest.importorskip('mmdet.datasets')
    write('crowdhuman', tmp_path)
    path, file = tmp_path / 'annotation_train.odgt', tmp_path / 'id_hw_train.json'
    if content is not None:
        file.write_text(content.replace('ID', json.loads(path.open().readline())['ID']))
    check_annotations(crowdhuman(tmp_path))
    time = file.stat().st_mtime_ns
    config = crowdhuman(tmp_path)
    del config['type']
    dataset = quietly(lambda: datasets.CrowdHumanDataset(**config))
    for i in range(len(dataset)):
        entry = dataset.get_data_info(i)
        size = entry['width'], entry['height']
        assert Image.open(entry['img_path']).size == size
    check_annotations(crowdhuman(tmp_path))
    assert file.stat().st_mtime_ns == time


def test_an_image_of_crowdhuman_that_is_none_is_named(tmp_path):
    pytest.importorskip('mmdet.datasets')
    write('crowdhuman', tmp_path)
    (image, other) = sorted((tmp_path / 'Images').glob('train*'))[:2]
    for content in (b'', b'no image'):
        image.write_bytes(content)
        with pytest.raises(ValueError, match=f'{image}: is empty or no image'):
            check_annotations(crowdhuman(tmp_path))
    other.unlink()
    with pytest.raises(FileNotFoundError, match=f'1 of .* there: {other}'):
        check_annotations(crowdhuman(tmp_path))


def test_boxes_of_crowdhuman_of_no_use_are_counted(tmp_path):
    pytest.importorskip('mmdet.datasets')
    write('crowdhuman', tmp_path)
    assert check_annotations(crowdhuman(tmp_path)) == []
    path = tmp_path / 'annotation_train.odgt'
    change_line(path, lambda record: record['gtboxes'][0]['fbox'].__setitem__(3, 0))
    (line,) = check_annotations(crowdhuman(tmp_path))
    assert 'boxes have no area' in line
    (tmp_path / 'boxes.odgt').write_text(path.read_text())
    with pytest.raises(ValueError, match='with "train" or "val" in their name; rename'):
        check_annotations(dict(crowdhuman(tmp_path), ann_file='boxes.odgt'))


@pytest.mark.parametrize('library', ['mmdet', 'mmseg'])
@pytest.mark.parametrize('content', [b'', b'no image'])
def test_images_that_cannot_be_read_are_named(content, library, tmp_path):
    pytest.importorskip(f'{library}.datasets')
    Image.new('RGB', (8, 8)).save(tmp_path / 'a.jpg')
    Image.new('L', (8, 8)).save(tmp_path / 'a.png')
    steps = [dict(type=f'{library}.LoadImageFromFile')]
    if library == 'mmseg':
        steps.append(dict(type='mmseg.LoadAnnotations'))
    files = ['a.jpg', 'a.png'][: len(steps)]

    class Pair(BaseDataset):
        def load_data_list(self):
            paths = dict(zip(('img_path', 'seg_map_path'), files, strict=False))
            entry = {key: str(tmp_path / name) for key, name in paths.items()}
            return [entry | dict(seg_fields=[], reduce_zero_label=False)]

    dataset = Pair(pipeline=[TRANSFORMS.build(step) for step in steps])
    name_files_in_errors(ConcatDataset([dataset]))
    assert dataset[0]['img'].shape == (8, 8, 3)
    for name in files:
        good = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content)
        with pytest.raises((ValueError, AssertionError), match=str(tmp_path / name)):
            dataset[0]
        (tmp_path / name).write_bytes(good)
