"""Where tools/crop_people.py looks for photographs, and where it writes crops."""

import errno
import os
import shutil
import signal

import cv2
import pytest
from cropping import BOXES, annotate
from launch import run as run_script
from launch import stop
from PIL import Image

from saip_mm.data import PersonImages

TOOL = 'tools/crop_people.py'


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
    ann = annotate(tmp_path, ['sub/a.jpg'], BOXES)
    status, _ = run(photos / 'sub', out, '--ann', ann)
    assert f'{photos}/sub/a.jpg exists: give {photos} as IMG_DIR' in status
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
    assert '4 that were finished before' in text


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


def test_told_to_stop(run, photos, tmp_path):
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
        number=signal.SIGTERM,
        when=lambda: (out / '001.jpg.0.jpg').exists(),
    )
    assert status == 128 + signal.SIGTERM
    assert 'Traceback' not in text
    assert 'stopped by SIGTERM: the crops written so far are kept; rerun' in text
    crops = list(out.glob('*.0.jpg'))
    assert 2 <= len(crops) < 200
    assert all(cv2.imread(str(crop)).shape == (165, 110, 3) for crop in crops)
    for name in names:  # the rest is fast
        (photos / name).unlink()
        os.link(photos / 'a.png', photos / name)
    status, text = run(photos, out, '--ann', ann)
    assert status == 0
    assert f'and {len(crops)} that were finished before' in text
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
        ('bbox_null_one', 'annotation 2: "bbox" is null, and should be four'),
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
