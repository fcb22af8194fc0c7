"""tools/crop_people.py on photographs with known pixels, real ones, and a detector."""

import errno
import importlib.util
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from launch import run as run_script
from launch import stop
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image

from saip_mm.datasets import PersonImages

TOOL = Path(__file__).parents[2] / 'tools' / 'crop_people.py'


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('crop_people', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tool, monkeypatch, capsys):
    """Run the tool; returns its exit status (or message) and what it printed."""

    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', ['crop_people.py', *map(str, arguments)])
        try:
            tool.main()
            status = 0
        except SystemExit as error:
            status = error.code
        printed = capsys.readouterr()
        return status, ' '.join((printed.out + printed.err).split())

    return call


def annotate(folder, names, boxes):
    """Give every photograph the same boxes."""
    images = [dict(id=i, file_name=name) for i, name in enumerate(names)]
    annotations = [
        dict(id=len(boxes) * i + j, image_id=i, category_id=1, bbox=box)
        for i in range(len(names))
        for j, box in enumerate(boxes)
    ]
    content = dict(images=images, annotations=annotations)
    (folder / 'boxes.json').write_text(json.dumps(content))
    return folder / 'boxes.json'


@pytest.fixture
def photos(tmp_path):
    """Two photographs, grey on the left and darker on the right half."""
    image = np.full((200, 300, 3), 200, np.uint8)
    image[:, 150:] = 60
    for name in ('a.png', 'sub/a.jpg'):
        path = tmp_path / 'photos' / name
        path.parent.mkdir(exist_ok=True, parents=True)
        Image.fromarray(image).save(path)
    return tmp_path / 'photos'


BOXES = [[0, 0, 100, 150], [200, 50, 50, 100], [0, 0, 5, 5]]


def test_crops_are_named_after_their_photographs(run, photos, tmp_path):
    ann, out = annotate(photos, ['a.png', 'sub/a.jpg'], BOXES), tmp_path / 'out'
    status, text = run(photos, out, '--ann', ann, '--margin', 0.5)
    assert status == 0
    assert f'4 crops written to {out}; skipped 2 boxes smaller than 64x32' in text
    names = ['a.png.0.jpg', 'a.png.1.jpg', 'sub/a.jpg.0.jpg', 'sub/a.jpg.1.jpg']
    assert sorted(p for p in out.rglob('*') if p.is_file()) == [out / n for n in names]
    images = [sample['image'] for sample in PersonImages(str(out))]
    assert [image.shape for image in images] == [(200, 150, 3), (200, 100, 3)] * 2
    means = [image.mean() for image in images]
    np.testing.assert_allclose(means, [200, 60] * 2, atol=1)


def test_goes_on_where_it_was_interrupted(run, photos, tmp_path, tool, monkeypatch):
    ann, out = annotate(photos, ['a.png', 'sub/a.jpg'], BOXES), tmp_path / 'out'
    replace = tool.os.replace

    def interrupted(source, target):
        if 'sub' in target and target.endswith('.0.jpg'):
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(tool.os, 'replace', interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(photos, out, '--ann', ann)
    # What is unfinished is not taken for an image.
    assert (out / 'sub' / 'a.jpg.0.tmp').exists()
    assert len(PersonImages(str(out))) == 3
    monkeypatch.setattr(tool.os, 'replace', replace)
    first = (out / 'a.png.0.jpg').stat().st_mtime_ns
    status, text = run(photos, out, '--ann', ann)
    assert status == 0
    assert '2 crops written' in text
    assert '1 that were done before' in text
    assert (out / 'a.png.0.jpg').stat().st_mtime_ns == first
    assert sum(path.is_file() for path in out.rglob('*')) == 4
    assert run(photos, out, '--ann', ann)[0] == 0


def test_a_bad_photograph_is_reported_and_skipped(run, photos, tmp_path):
    (photos / 'a.png').write_bytes((photos / 'a.png').read_bytes()[:100])
    ann = annotate(photos, ['a.png', 'sub/a.jpg', 'absent.png'], BOXES)
    status, text = run(photos, tmp_path / 'out', '--ann', ann)
    assert status == 0
    assert 'Skipped: ' in text
    assert 'a.png: cannot be read' in text
    assert 'absent.png: there is no such file' in text
    assert '2 crops written' in text
    assert '2 photographs that cannot be used' in text


def test_no_crop_at_all_is_a_failure(run, photos, tmp_path):
    ann = annotate(photos, ['a.png'], BOXES)
    status, _ = run(photos, tmp_path / 'out', '--ann', ann, '--min-size', 500, 500)
    assert 'no crops; lower --min-size' in status
    ann = annotate(photos, ['x.png', 'y.png'], BOXES)
    status, _ = run(photos, tmp_path / 'out', '--ann', ann)
    assert 'none of the photographs' in status


def test_nothing_is_written_outside(run, photos, tmp_path):
    Image.new('RGB', (200, 200)).save(tmp_path / 'x.png')
    ann = annotate(photos, ['../x.png'], BOXES)
    status, _ = run(photos, tmp_path / 'out', '--ann', ann)
    assert 'boxes.json: ../x.png is not below' in status


def files_in(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob('*') if p.is_file()}


@pytest.mark.parametrize(
    'form', ['{}/a.png', '../photos/a.png', 'sub/../a.png', './a.png']
)
def test_crops_stay_in_out_however_a_photograph_is_named(run, photos, tmp_path, form):
    ann = annotate(photos, [form.format(photos)], BOXES[:1])
    before, out = files_in(tmp_path), tmp_path / 'new' / 'out'
    status, _ = run(photos, out, '--ann', ann)
    assert status == 0
    assert files_in(tmp_path) - before == {'new/out/a.png.0.jpg'}


def test_photographs_behind_links(run, photos, tmp_path):
    elsewhere = tmp_path / 'elsewhere'
    (photos / 'sub').rename(elsewhere)
    (photos / 'sub').symlink_to(elsewhere)
    (tmp_path / 'link').symlink_to(photos)
    ann = annotate(photos, ['sub/a.jpg', f'{photos}/a.png'], BOXES[:1])
    before = files_in(tmp_path)
    status, _ = run(tmp_path / 'link', tmp_path / 'out', '--ann', ann)
    assert status == 0
    crops = {'out/sub/a.jpg.0.jpg', 'out/a.png.0.jpg'}
    assert files_in(tmp_path) - before == crops


def test_crops_and_photographs_are_kept_apart(run, photos, tmp_path):
    ann, before = annotate(photos, ['a.png'], BOXES), files_in(tmp_path)
    for out, message in (
        (photos, 'OUT_DIR is in IMG_DIR'),
        (photos / 'sub' / 'out', 'OUT_DIR is in IMG_DIR'),
        (tmp_path, 'IMG_DIR is in OUT_DIR'),
    ):
        status, text = run(photos, out, '--ann', ann)
        assert status == 2
        assert message in text
    assert files_in(tmp_path) == before


def test_where_photographs_were_looked_for(run, photos, tmp_path):
    out = tmp_path / 'out'
    ann = annotate(tmp_path, ['a.png'], BOXES)
    status, _ = run(tmp_path / 'typo', out, '--ann', ann)
    assert f'is in {tmp_path}/typo, which is no folder; correct IMG_DIR' in status
    (tmp_path / 'empty').mkdir()
    status, _ = run(tmp_path / 'empty', out, '--ann', ann)
    assert f'the first one looked for is {tmp_path}/empty/a.png. Correct' in status
    status, _ = run(tmp_path / 'empty', photos, '--ann', ann)
    assert f'but they are in {photos}; give IMG_DIR first' in status
    ann = annotate(tmp_path, ['images/2017/a.png'], BOXES)
    status, _ = run(photos, out, '--ann', ann)
    assert f'looked for is {photos}/images/2017/a.png. {photos}/a.png exists' in status
    assert 'remove images/2017/ from "file_name"' in status
    ann = annotate(tmp_path, ['a.jpg'], BOXES)
    status, _ = run(photos, out, '--ann', ann)
    assert f'{photos}/sub/a.jpg exists: give {photos}/sub as IMG_DIR' in status
    assert not out.exists()


def test_home_folders(run, photos, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    ann = annotate(photos, ['~/photos/a.png'], BOXES[:1])
    assert run('~/photos', '~/out', f'--ann=~/photos/{ann.name}')[0] == 0
    assert files_in(tmp_path / 'out') == {'a.png.0.jpg'}
    dataset = PersonImages('~/photos', 'boxes.json', margin=0)
    assert dataset[0]['image'].shape == (150, 100, 3)


def test_long_names_and_names_that_are_not_utf8(run, photos, tmp_path):
    """In a process of its own, whose output is strictly UTF-8."""
    names = ['é' * 125 + 'a.png', 'é' * 125 + 'b.png', 'x' * 251 + '.png']
    names += [os.fsdecode(b'caf\xe9.png'), os.fsdecode(b'cut\xe9.png')]
    for name in names:
        os.link(photos / 'a.png', photos / name)
    (photos / names[-1]).unlink()
    (photos / names[-1]).write_bytes(b'')
    ann, out = annotate(photos, names, BOXES[:1]), tmp_path / 'out'
    done = run_script('tools/crop_people.py', photos, out, '--ann', ann)
    assert 'cut\\udce9.png: not an image' in ' '.join(done.stdout.split())
    crops = sorted(path.name for path in out.iterdir())
    assert len(crops) == 4
    assert os.fsdecode(b'caf\xe9.png.0.jpg') in crops
    assert len(PersonImages(str(out))) == 4
    status, text = run(photos, out, '--ann', ann)
    assert status == 0
    assert '4 that were done before' in text


def test_what_cannot_be_written_is_found_before_the_work(run, photos, tmp_path):
    ann = annotate(photos, ['a.png'], BOXES)
    (tmp_path / 'file').write_text('')
    for out in (tmp_path / 'file', tmp_path / 'file' / 'out'):
        status, text = run(photos, out, '--ann', ann)
        assert str(status).startswith('error: ')
        assert str(tmp_path / 'file') in status
        assert 'Photographs' not in text  # the progress


def test_a_full_disk_in_the_midst(run, photos, tmp_path, tool, monkeypatch):
    def replace(source, target):
        raise OSError(errno.ENOSPC, 'No space left on device', source)

    monkeypatch.setattr(tool.os, 'replace', replace)
    ann = annotate(photos, ['a.png'], BOXES)
    status, _ = run(photos, tmp_path / 'out', '--ann', ann)
    assert 'No space left' in status
    assert 'written so far are kept; rerun the command to continue' in status


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop(run, photos, tmp_path, number):
    Image.new('RGB', (5000, 4000)).save(photos / 'large.jpg')
    names = [f'{i:03}.jpg' for i in range(200)]
    for name in names:
        os.link(photos / 'large.jpg', photos / name)
    ann, out = annotate(photos, names, BOXES[:1]), tmp_path / 'out'
    status, text = stop(
        'tools/crop_people.py',
        photos,
        out,
        '--ann',
        ann,
        number=number,
        when=lambda: (out / '001.jpg.0.jpg').exists(),
    )
    assert status == 128 + number
    assert 'Traceback' not in text
    assert f'stopped by {number.name}: the crops written so far are kept; rerun' in text
    crops = list(out.glob('*.0.jpg'))
    assert 2 <= len(crops) < 200
    assert all(cv2.imread(str(crop)).shape == (165, 110, 3) for crop in crops)
    for name in names:  # the rest is fast
        (photos / name).unlink()
        os.link(photos / 'a.png', photos / name)
    status, text = run(photos, out, '--ann', ann)
    assert status == 0
    assert f'and {len(crops)} that were done before' in text
    assert len(list(out.glob('*.0.jpg'))) == 200


@pytest.mark.parametrize(
    ('name', 'found'),
    [
        ('ok', {'a', 'b'}),
        ('absolute', {'a', 'b'}),
        ('dotdot', {'a', 'b'}),
        ('bom', {'a', 'b'}),
        ('iscrowd_str', {'a', 'b'}),
        ('float_size', {'a'}),
        ('string_category_id', {'a', 'b'}),
        ('string_image_id', {'a', 'b'}),
        ('prefix', 'looked for is {}/images/a.jpg. {}/a.jpg exists'),
        ('bbox_null_one', 'annotation 2: "bbox" is null; correct or remove'),
    ],
)
def test_boxes_that_were_refused_or_left_out(run, test_data, tmp_path, name, found):
    folder = tmp_path / 'photos'
    shutil.copytree(test_data / 'cases/boxes/photos', folder)
    text = (test_data / f'cases/boxes/{name}.json').read_text()
    ann, out = tmp_path / 'boxes.json', tmp_path / 'out'
    ann.write_text(text.replace('/data/photos', str(folder)))
    before = files_in(tmp_path)
    status, _ = run(folder, out, '--ann', ann)
    if isinstance(found, str):
        assert found.replace('{}', str(folder)) in status
        return
    assert status == 0
    assert files_in(tmp_path) - before == {f'out/{each}.jpg.0.jpg' for each in found}


def test_bad_annotations_end_in_one_line(run, photos, tmp_path):
    ann = photos / 'boxes.json'
    status, _ = run(photos, tmp_path / 'out', '--ann', ann)
    assert f'error: {ann}: there is no such annotation file' in status
    ann.write_text('[]')
    status, _ = run(photos, tmp_path / 'out', '--ann', ann)
    assert f'error: {ann}: holds a list' in status


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'one of the arguments --ann --det-config is required'),
        (['--det-config', 'a.py'], '--det-config and --det-checkpoint go together'),
        (['--ann', 'a.json', '--margin', '-1'], '--margin should be at least 0'),
    ],
)
def test_wrong_arguments(run, arguments, message):
    status, text = run('photos', 'out', *arguments)
    assert status == 2
    assert message in text


@pytest.mark.parametrize(
    ('name', 'crops'),
    [('coco/test_coco', 14), ('crowdpose/test_crowdpose', 5), ('aic/test_aic', 9)],
)
def test_real_photographs(run, test_data, tmp_path, name, crops):
    path = test_data / 'real' / f'{name}.json'
    options = ['--margin', 0, '--min-size', 1, 1]
    status, text = run(path.parent, tmp_path, '--ann', path, *options)
    assert status == 0
    content = json.loads(path.read_text())
    files = {image['id']: image['file_name'] for image in content['images']}
    numbers = dict.fromkeys(files, 0)
    for annotation in content['annotations']:
        image = annotation['image_id']
        crop = cv2.imread(f'{tmp_path}/{files[image]}.{numbers[image]}.jpg')
        numbers[image] += 1
        photograph = cv2.imread(str(path.parent / files[image]))
        x, y, w, h = annotation['bbox']
        bottom, right = int(np.ceil(y + h)), int(np.ceil(x + w))
        expected = photograph[int(y) : bottom, int(x) : right]
        assert np.abs(crop - expected.astype(int)).mean() < 4  # JPEG once more
    assert sum(numbers.values()) == crops == len(list(tmp_path.iterdir()))


def test_without_mmdet_the_remedy_is_named(run, photos, tmp_path, monkeypatch):
    for name in ('mmdet', 'mmdet.apis'):  # which another test may have imported
        monkeypatch.setitem(sys.modules, name, None)
    options = ['--det-config', 'a.py', '--det-checkpoint', 'a.pth']
    status, _ = run(photos, tmp_path / 'out', *options)
    assert 'needs MMDetection' in status
    assert '--ann' in status
    status, text = run(photos, photos / 'out', *options)
    assert status == 2
    assert 'OUT_DIR is in IMG_DIR' in text


@pytest.fixture
def detector(tmp_path):
    """Config and random weights of a small detector that knows some classes."""
    pytest.importorskip('mmdet', reason='MMDetection is not installed')
    pytest.importorskip('mmcv._ext', reason='mmcv has no compiled ops')
    from mmdet.registry import MODELS

    def make(classes):
        config = tmp_path / 'detector.py'
        config.write_text(DETECTOR.format(len(classes)))
        torch.manual_seed(0)
        model = MODELS.build(Config.fromfile(config).model)
        torch.nn.init.zeros_(model.bbox_head.conv_cls.bias)  # scores about 0.5
        checkpoint = dict(
            state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=classes))
        )
        torch.save(checkpoint, tmp_path / 'detector.pth')
        weights = str(tmp_path / 'detector.pth')
        return ['--det-config', config, '--det-checkpoint', weights]

    with DefaultScope.overwrite_default_scope('mmdet'):  # ends what MMDet sets, too
        yield make


DETECTOR = """
default_scope = 'mmdet'
model = dict(
    type='FCOS',
    data_preprocessor=dict(type='DetDataPreprocessor', pad_size_divisor=32),
    backbone=dict(type='ResNet', depth=18, num_stages=4, out_indices=(1, 2, 3)),
    neck=dict(type='FPN', in_channels=[128, 256, 512], out_channels=16, num_outs=5),
    bbox_head=dict(
        type='FCOSHead', num_classes={}, in_channels=16, feat_channels=16,
        stacked_convs=1, norm_cfg=None),
    test_cfg=dict(nms_pre=100, score_thr=0.0, max_per_img=10,
                  nms=dict(type='nms', iou_threshold=0.5)))
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(96, 64), keep_ratio=True),
    dict(type='PackDetInputs',
         meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))]
test_dataloader = dict(dataset=dict(
    type='CocoDataset', metainfo=None, pipeline=test_pipeline))
"""


def test_detector(run, photos, tmp_path, detector):
    from mmdet.apis import inference_detector, init_detector

    options = detector(['car', 'person'])
    out = tmp_path / 'out'
    sizes = ['--min-size', 8, 8, '--score-thr', 0.3]
    status, text = run(photos, out, *options, '--margin', 0, *sizes)
    assert status == 0, text
    model = init_detector(str(options[1]), options[3], device='cpu')
    found = inference_detector(model, str(photos / 'a.png')).pred_instances
    expected = []
    for (left, top, right, bottom), label, score in zip(
        found.bboxes.tolist(), found.labels, found.scores, strict=True
    ):
        x, y = max(left, 0), max(top, 0)
        h, w = min(bottom, 200) - y, min(right, 300) - x
        if label == 1 and score >= 0.3 and h >= 8 and w >= 8:
            shape = (
                np.ceil(min(bottom, 200)) - int(y),
                np.ceil(min(right, 300)) - int(x),
            )
            expected.append(shape)
    assert expected
    crops = sorted(out.glob('a.png.*.jpg'), key=lambda path: int(path.suffixes[-2][1:]))
    assert [cv2.imread(str(path)).shape[:2] for path in crops] == expected
    status, text = run(photos, out, *options)
    assert '2 that were done before' in text


def test_a_detector_without_people(run, photos, tmp_path, detector):
    status, _ = run(photos, tmp_path / 'out', *detector(['car', 'dog']))
    assert 'no class "person" among car, dog' in status
