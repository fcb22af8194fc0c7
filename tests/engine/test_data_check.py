"""Data that are not there, or of no use, are named before a training begins."""

import json

import pytest
from mmengine.dataset import ConcatDataset
from written_formats import write

from saip_mm.engine import SafeRunner
from saip_mm.engine.data_check import check_images, check_places, useless_annotations

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
        FileNotFoundError, match=rf'keypoints_train2017.json: 1 of \d files .*{lost}: '
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


def test_useless_annotations_of_coco(tmp_path):
    write('coco', tmp_path)
    path = tmp_path / ANN
    content = json.loads(path.read_text())
    assert list(useless_annotations(coco(tmp_path))) == []
    content['annotations'][1]['bbox'][2] = 0
    content['annotations'][1]['id'] = 4711
    content['annotations'][2]['keypoints'] = [0] * 51
    path.write_text(json.dumps(content))
    total = len(content['annotations'])
    flat, unseen = useless_annotations(coco(tmp_path))
    assert f'1 of {total} boxes have no area' in flat
    assert 'annotation 4711 is one' in flat
    assert f'1 of {total} people have no visible keypoint' in unseen


def test_annotations_that_are_not_of_coco(tmp_path):
    config = dict(data_root=str(tmp_path), ann_file='captions.json')
    for content in ([dict(caption='a man')], dict(annotations=[dict(caption='a man')])):
        (tmp_path / 'captions.json').write_text(json.dumps(content))
        assert list(useless_annotations(config)) == []


def test_useless_annotations_of_crowdhuman(tmp_path):
    write('crowdhuman', tmp_path)
    config = dict(data_root=str(tmp_path), ann_file='annotation_train.odgt')
    assert list(useless_annotations(config)) == []
    path = tmp_path / 'annotation_train.odgt'
    first, *others = path.read_text().splitlines()
    record = json.loads(first)
    record['gtboxes'][0]['fbox'][3] = 0
    path.write_text('\n'.join([json.dumps(record), *others]))
    (line,) = useless_annotations(config)
    assert 'boxes have no area' in line and record['ID'] in line
