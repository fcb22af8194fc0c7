"""Missing and unreadable files are named."""

import json
from pathlib import Path
from unittest.mock import Mock

import pytest
from mmengine.config import Config
from mmengine.dataset import BaseDataset, ConcatDataset
from mmpretrain.registry import TRANSFORMS
from PIL import Image
from written_formats import write

from saip_mm.data.checks import (
    check_images,
    check_keypoints,
    check_paths,
    name_files_in_errors,
)
from saip_mm.training import SafeRunner

ANN = 'annotations/person_keypoints_train2017.json'


def coco(root) -> dict:
    return dict(data_root=str(root), ann_file=ANN, data_prefix=dict(img='train2017/'))


def test_another_layout(tmp_path, monkeypatch):
    write('coco', tmp_path / 'coco')
    check_paths(coco(tmp_path / 'coco'))
    monkeypatch.setenv('HOME', str(tmp_path / 'coco'))
    of_mmpretrain = dict(data_root='elsewhere', data_prefix='~/train2017')
    check_paths(of_mmpretrain)
    (tmp_path / 'coco/train2017').rename(tmp_path / 'coco/train')
    with pytest.raises(FileNotFoundError, match='coco/train2017: no such file'):
        check_paths(of_mmpretrain)
    with pytest.raises(FileNotFoundError, match='coco/train2017: .*set data_r'):
        check_paths(dict(type='RepeatDataset', dataset=coco(tmp_path / 'coco')))
    with pytest.raises(FileNotFoundError, match='none/annotations/.*holds coco'):
        check_paths(dict(datasets=[coco(tmp_path / 'none')]))


def test_missing_images_and_annotations(tmp_path):
    datasets = pytest.importorskip('mmpose.datasets')
    write('coco', tmp_path)
    dataset = datasets.CocoDataset(**coco(tmp_path))
    check_images(dataset)
    lost = tmp_path / 'train2017/000000000003.jpg'
    lost.unlink()
    message = rf'keypoints_train2017.json: 1 of \d files .*{lost}; '
    with pytest.raises(FileNotFoundError, match=message):
        check_images(ConcatDataset([dataset]))
    path = tmp_path / ANN
    whole = json.loads(path.read_text())
    path.write_text(json.dumps(whole | dict(annotations=[])))
    loader = dict(dataset=dict(coco(tmp_path), type='mmpose.CocoDataset'))
    with pytest.raises(ValueError, match='train2017.json: contains no people'):
        SafeRunner.build_dataloader(loader)
    whole['annotations'][1]['bbox'] = None
    path.write_text(json.dumps(whole))
    with pytest.raises(ValueError, match=r'train2017.json: annotations\[1\] .id '):
        SafeRunner.build_dataloader(loader)
    path.write_text(json.dumps(whole | dict(categories=[dict(id=1, name='hat')])))
    with pytest.raises(ValueError, match='cannot be loaded .TypeError'):
        SafeRunner.build_dataloader(loader)
    path.write_text(json.dumps(dict(images=[dict(id=1)])))
    with pytest.raises(ValueError, match='train2017.json: has no list of'):
        SafeRunner.build_dataloader(loader)
    path.write_text(json.dumps(dict(data_list=[])))  # another format
    with pytest.raises(ValueError, match='train2017.json.* cannot be loaded '):
        SafeRunner.build_dataloader(loader)


def test_other_keypoints_than_those_of_the_config(tmp_path):
    datasets = pytest.importorskip('mmpose.datasets')
    write('coco', tmp_path)
    content = json.loads((tmp_path / ANN).read_text())
    for annotation in content['annotations']:
        annotation['keypoints'] = annotation['keypoints'][: 3 * 14]
    (tmp_path / ANN).write_text(json.dumps(content))
    message = r'keypoints_train2017.json: annotation \d+ has 14 keypoints, .* names 17'
    with pytest.raises(ValueError, match=message):
        check_images(ConcatDataset([datasets.CocoDataset(**coco(tmp_path))]))


@pytest.mark.parametrize(
    'library, spoilt, message',
    [
        ('mmpose', 'bbox', 'no box is larger than a pixel: "bbox" is x'),
        ('mmdet', 'bbox', 'no box is larger than a pixel and of a class of the config'),
        ('mmdet', 'name', 'of metainfo.classes, person, bicycle, .* have none, and'),
    ],
)
def test_boxes_without_use_are_refused(library, spoilt, message, tmp_path):
    datasets = pytest.importorskip(f'{library}.datasets')
    write('coco', tmp_path)
    check_images(datasets.CocoDataset(**coco(tmp_path)))
    content = json.loads((tmp_path / ANN).read_text())
    if spoilt == 'bbox':  # shares of the image instead of pixels
        for annotation in content['annotations']:
            annotation['bbox'] = [0.2, 0.3, 0.1, 0.4]
    else:
        content['categories'][0]['name'] = 'Person'
    (tmp_path / ANN).write_text(json.dumps(content))
    dataset = datasets.CocoDataset(**coco(tmp_path))
    with pytest.raises(ValueError, match=f'train2017.json: {message}'):
        check_images(dataset)
    if library == 'mmdet' and spoilt == 'bbox':  # tests may have no boxes
        check_images(datasets.CocoDataset(**coco(tmp_path), test_mode=True))


def test_classes_unlike_the_categories(tmp_path):
    datasets = pytest.importorskip('mmdet.datasets')
    write('coco', tmp_path)
    content = json.loads((tmp_path / ANN).read_text())
    names = ['hat', 'person', 'scarf']
    content['categories'] = [dict(id=i, name=n) for i, n in enumerate(names)]

    def check(*classes, **kwargs):
        (tmp_path / ANN).write_text(json.dumps(content))
        info = dict(metainfo=dict(classes=classes)) if classes else {}
        check_images(datasets.CocoDataset(**coco(tmp_path), **info, **kwargs))

    check(*names)
    check('person')
    check('hat', 'person', 'scarf', 'veil')
    check('person', 'scarf')
    message = 'train2017.json: of metainfo.classes, .*"categories" have {}, and labels'
    with pytest.raises(ValueError, match=message.format('hat, person')):
        check('hat', 'Scarf', 'person')
    with pytest.raises(ValueError, match=message.format('person, scarf')):
        check('scarf', 'person')
    with pytest.raises(ValueError, match=message.format('none')):
        check('Person', test_mode=True)
    content['categories'] = [dict(id=1, name='person')]
    check()
    content['categories'].append(dict(id=2, name='car'))
    with pytest.raises(ValueError, match=message.format('person, car')):
        check()


def test_flips_that_do_not_exchange_keypoints(tmp_path):
    datasets = pytest.importorskip('mmpose.datasets')
    write('coco', tmp_path)
    info = info_of_coco()
    check_images(datasets.CocoDataset(**coco(tmp_path), metainfo=info))
    info.keypoint_info[2]['swap'] = ''
    message = "train2017.json: by metainfo, .*'left_eye' is 'right_eye', but not the"
    with pytest.raises(ValueError, match=message):
        check_images(datasets.CocoDataset(**coco(tmp_path), metainfo=info))


def info_of_coco() -> dict:
    return Config.fromfile(descriptions() / 'coco.py').dataset_info


def descriptions() -> Path:
    datasets = pytest.importorskip('mmpose.datasets')
    return Path(datasets.__file__).parents[1] / '.mim/configs/_base_/datasets'


def test_descriptions_of_mmpose_are_accepted():
    files = sorted(descriptions().glob('*.py'))
    assert len(files) > 50
    for file in files:
        check_keypoints(dict(metainfo=Config.fromfile(file).dataset_info))


@pytest.mark.parametrize(
    'spoil, message',
    [
        (lambda info: info.pop('sigmas'), 'has no sigmas; see'),
        (lambda info: info.pop('skeleton_info'), 'has no skel'),
        (lambda info: info.update(skeleton_info=[]), 'should have a dict as skeleton_'),
        (lambda info: info.sigmas.pop(), 'has 16 sigmas for 17 keypoints'),
        (lambda info: info.keypoint_info.pop(0), 'should number its 16 keypoints from'),
        (
            lambda info: info.keypoint_info[1].update(swap='x'),
            "'x', which a .swap. nam",
        ),
        (lambda info: info.skeleton_info[0].update(link=('x', 'nose')), "'x', which a"),
        (lambda info: info.keypoint_info[1].update(name='nose'), 'a different name fo'),
    ],
)
def test_inconsistent_description_of_keypoints(spoil, message, tmp_path):
    write('coco', tmp_path)
    info = info_of_coco()
    dataset = dict(coco(tmp_path), type='mmpose.CocoDataset', metainfo=info)
    loader = dict(dataset=dataset, batch_size=1, num_workers=0)
    loader['sampler'] = dict(type='DefaultSampler', shuffle=False)
    SafeRunner.build_dataloader(loader)
    spoil(info)
    with pytest.raises(ValueError, match=f'train2017.json: its metainfo .*{message}'):
        SafeRunner.build_dataloader(loader)


def test_keypoints_in_another_order_than_in_the_file(tmp_path):
    datasets = pytest.importorskip('mmpose.datasets')
    write('coco', tmp_path)
    content, info = json.loads((tmp_path / ANN).read_text()), info_of_coco()
    names = [each['name'] for each in info.keypoint_info.values()]
    for found in ([], ['head', *names[1:]], names):
        content['categories'][0]['keypoints'] = found
        (tmp_path / ANN).write_text(json.dumps(content))
        check_images(datasets.CocoDataset(**coco(tmp_path), metainfo=info))
    content['categories'][0]['keypoints'] = names[::-1]
    (tmp_path / ANN).write_text(json.dumps(content))
    message = 'train2017.json: has the keypoints right_ankle, .* names nose, .*: order'
    with pytest.raises(ValueError, match=message):
        check_images(datasets.CocoDataset(**coco(tmp_path), metainfo=info))


def test_repeated_ids(tmp_path):
    pytest.importorskip('mmdet.datasets')
    write('coco', tmp_path)
    content = json.loads((tmp_path / ANN).read_text())
    for annotation in content['annotations']:
        annotation['id'] = 1
    (tmp_path / ANN).write_text(json.dumps(content))
    loader = dict(dataset=dict(coco(tmp_path), type='mmdet.CocoDataset'))
    with pytest.raises(ValueError, match='train2017.json.* cannot be loaded .*unique'):
        SafeRunner.build_dataloader(loader)


def test_corners_instead_of_sizes(test_data, tmp_path):
    datasets = pytest.importorskip('mmdet.datasets')
    people = test_data / 'people/pose/coco_subset'
    files = dict(data_root=str(people), data_prefix=dict(img=''))
    check_images(datasets.CocoDataset(ann_file='test.json', **files))
    content = json.loads((people / 'test.json').read_text())
    for annotation in content['annotations']:
        x, y, width, height = annotation['bbox']
        annotation['bbox'] = [x, y, x + width, y + height]
    path = tmp_path / 'corners.json'
    path.write_text(json.dumps(content))
    message = r'corners.json: 1\d\d of 238 boxes end outside of their photographs'
    with pytest.raises(ValueError, match=message):
        check_images(datasets.CocoDataset(ann_file=str(path), **files))


@pytest.mark.parametrize('library', ['mmdet', 'mmseg'])
@pytest.mark.parametrize('content', [b'', b'no image'])
def test_unreadable_images_are_named(content, library, tmp_path):
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
    dataset.pipeline.transforms.append(Mock(side_effect=TypeError('of a transform')))
    with pytest.raises(ValueError, match='a.jpg.* transform. Get a new .*unless the'):
        dataset[0]
    dataset.pipeline.transforms[-1].side_effect = MemoryError
    with pytest.raises(MemoryError):
        dataset[0]
