"""tools/crop_people.py on photographs with known pixels, and on real ones."""

import errno
import os
import signal

import cv2
import numpy as np
import pytest
from image_files import BOXES, annotate
from launch import run as run_script
from launch import stop
from PIL import Image

from saip_mm.data import PersonImages

TOOL = 'tools/crop_people.py'


def files_in(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob('*') if p.is_file()}


def test_crops_are_named_after_their_photographs(run, photos, tmp_path):
    ann, out = annotate(photos, ['a.png', 'sub/a.jpg'], BOXES), tmp_path / 'out'
    status, text = run(photos, out, '--ann', ann, '--margin', 0.5)
    assert status == 0
    assert f'4 crops written to {out}; skipped 2 boxes smaller than 64x32' in text
    names = {'a.png.0.jpg', 'a.png.1.jpg', 'sub/a.jpg.0.jpg', 'sub/a.jpg.1.jpg'}
    assert files_in(out) == names
    images = [sample['image'] for sample in PersonImages(str(out))]
    assert [image.shape for image in images] == [(200, 150, 3), (200, 100, 3)] * 2
    means = [image.mean() for image in images]
    np.testing.assert_allclose(means, [200, 60] * 2, atol=1)


def test_bad_photographs_are_skipped(run, photos, tmp_path):
    (photos / 'a.png').write_bytes((photos / 'a.png').read_bytes()[:100])
    ann = annotate(photos, ['a.png', 'sub/a.jpg', 'absent.png'], BOXES)
    status, text = run(photos, tmp_path / 'out', '--ann', ann)
    assert status == 0
    assert 'a.png: cannot be read' in text and 'absent.png: no such file' in text
    assert '2 crops written' in text and '2 unusable photographs' in text


def test_crops_that_cannot_be_written_are_skipped(run, photos, tmp_path):
    """Wider than a JPEG can be; a name that is too long with the crop's number."""
    Image.new('RGB', (66000, 64)).save(photos / 'b.png')
    names = ['b.png', f'{"n" * 246}.png', 'sub/a.jpg']
    (photos / 'a.png').rename(photos / names[1])
    ann = annotate(photos, names, [[0, 0, 100, 150], [0, 0, 66000, 150]])
    status, text = run(photos, tmp_path / 'out', '--ann', ann)
    assert status == 0
    assert 'b.png: a crop of 64x66000 is too large' in text
    assert 'the name is too long' in text and '2 unusable photographs' in text
    crops = {f'sub/a.jpg.{number}.jpg' for number in (0, 1)}
    assert files_in(tmp_path / 'out') == crops


def test_errors(run, photos, tmp_path):
    Image.new('RGB', (200, 200)).save(tmp_path / 'x.png')
    (tmp_path / 'file').write_text('')
    out = tmp_path / 'out'

    def error(names, folder=photos, out=out):
        status, text = run(folder, out, '--ann', annotate(tmp_path, names, BOXES))
        assert 'Photographs' not in text  # nothing was begun
        return status

    assert 'boxes.json: ../x.png is not below' in error(['../x.png'])
    for target in (tmp_path / 'file', tmp_path / 'file/out'):
        assert f'{tmp_path}/file' in error(['a.png'], out=target)
    for folder in ('photos', 'typo'):
        message = error(['x.png', 'y.png'], folder=tmp_path / folder)
        assert f'{folder}: has none of the photographs of {tmp_path}/boxes' in message
        assert 'the first of which is x.png; correct IMG_DIR' in message
    assert not out.exists()
    ann = annotate(photos, ['a.png'], BOXES)
    status, _ = run(photos, out, '--ann', ann, '--min-size', 500, 500)
    assert status.endswith('no crops; lower --min-size')
    ann.write_text('[]')
    status, _ = run(photos, out, '--ann', ann)
    assert f'error: {ann}: has no list of "images"' in status


def test_invalid_arguments(run, photos, tmp_path):
    ann, before = annotate(photos, ['a.png'], BOXES), files_in(tmp_path)
    inside = 'IMG_DIR and OUT_DIR must not contain each other'
    for out, options, message in (
        ('out', [], 'one of the arguments --ann --det-config is required'),
        ('out', ['--det-config', 'a.py'], '--det-config and --det-checkpoint go'),
        ('out', ['--ann', ann, '--margin', '-1'], '--margin should be at least 0'),
        ('out', ['--ann', ann, '--min-size', 0, 9], '--min-size at least 1'),
        (photos, ['--ann', ann], inside),
        (photos / 'sub/out', ['--ann', ann], inside),
        (tmp_path, ['--ann', ann], inside),
    ):
        status, text = run(photos, out, *options)
        assert status == 2 and message in text
    assert files_in(tmp_path) == before


@pytest.mark.parametrize(
    'form', ['{}/a.png', '../photos/a.png', 'sub/../a.png', './a.png']
)
def test_crops_stay_in_out(run, photos, tmp_path, form):
    ann = annotate(photos, [form.format(photos)], BOXES[:1])
    before, out = files_in(tmp_path), tmp_path / 'new' / 'out'
    assert run(photos, out, '--ann', ann)[0] == 0
    assert files_in(tmp_path) - before == {'new/out/a.png.0.jpg'}


def test_links_and_home_folders(run, photos, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    elsewhere = tmp_path / 'elsewhere'
    (photos / 'sub').rename(elsewhere)
    (photos / 'sub').symlink_to(elsewhere)
    names = ['sub/a.jpg', f'{photos}/a.png', '~/photos/a.png']
    ann = annotate(photos, names, BOXES[:1])
    assert run('~/photos', '~/out', f'--ann=~/photos/{ann.name}')[0] == 0
    crops = {'sub/a.jpg.0.jpg', 'a.png.0.jpg', 'a.png.1.jpg'}
    assert files_in(tmp_path / 'out') == crops
    dataset = PersonImages('~/photos', 'boxes.json', margin=0)
    assert dataset[2]['image'].shape == (150, 100, 3)


def test_names_that_are_not_utf8(run, photos, tmp_path):
    """A process whose output is strictly UTF-8."""
    names = [os.fsdecode(b'caf\xe9.png'), os.fsdecode(b'cut\xe9.png')]
    for name in names:
        os.link(photos / 'a.png', photos / name)
    (photos / names[-1]).unlink()
    (photos / names[-1]).write_bytes(b'')
    ann, out = annotate(photos, names, BOXES[:1]), tmp_path / 'out'
    done = run_script('tools/crop_people.py', photos, out, '--ann', ann)
    assert 'cut\\udce9.png: not an image' in ' '.join(done.stdout.split())
    (crop,) = out.iterdir()
    assert crop.name == os.fsdecode(b'caf\xe9.png.0.jpg')
    assert len(PersonImages(str(out))) == 1
    status, text = run(photos, out, '--ann', ann)
    assert status == 0
    assert '1 that were finished before' in text and 'another folder' in text


def test_finished_photographs_are_skipped(run, photos, tmp_path, tool, monkeypatch):
    ann, out = annotate(photos, ['a.png', 'sub/a.jpg'], BOXES), tmp_path / 'out'
    replace = tool.os.replace

    def disk_is_full(source, target):
        if 'sub' in target and target.endswith('.0.jpg'):
            raise OSError(errno.ENOSPC, 'No space left on device', source)
        replace(source, target)

    monkeypatch.setattr(tool.os, 'replace', disk_is_full)
    status, _ = run(photos, out, '--ann', ann)
    assert 'No space left' in status
    assert 'written so far are kept; rerun the command to continue' in status
    assert (out / 'sub' / 'a.jpg.0.tmp').exists()
    assert len(PersonImages(str(out))) == 3  # unfinished crops are not images
    monkeypatch.setattr(tool.os, 'replace', replace)
    first = (out / 'a.png.0.jpg').stat().st_mtime_ns
    status, text = run(photos, out, '--ann', ann)
    assert '2 crops written' in text and '1 that were finished before' in text
    assert (out / 'a.png.0.jpg').stat().st_mtime_ns == first
    assert len(files_in(out)) == 4


def test_interrupt(run, photos, tmp_path):
    Image.new('RGB', (5000, 4000)).save(photos / 'large.jpg')
    names = [f'{i:03}.jpg' for i in range(200)]
    for name in names:
        os.link(photos / 'large.jpg', photos / name)
    ann, out = annotate(photos, names, BOXES[:1]), tmp_path / 'out'
    status, text = stop(
        *('tools/crop_people.py', photos, out, '--ann', ann),
        number=signal.SIGTERM,
        when=lambda: (out / '001.jpg.0.jpg').exists(),
    )
    assert status == 128 + signal.SIGTERM
    assert 'Traceback' not in text
    assert 'stopped by SIGTERM: the crops written so far are kept; rerun' in text
    crops = list(out.glob('*.0.jpg'))
    assert 2 <= len(crops) < 200
    assert all(cv2.imread(str(crop)).shape == (165, 110, 3) for crop in crops)
    for name in names:  # smaller, so that the rest is fast
        (photos / name).unlink()
        os.link(photos / 'a.png', photos / name)
    status, text = run(photos, out, '--ann', ann)
    assert status == 0
    assert f'and {len(crops)} that were finished before' in text
    assert len(list(out.glob('*.0.jpg'))) == 200
