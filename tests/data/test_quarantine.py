"""Images that cannot be used do not end a training."""

import json
import multiprocessing
import os
import signal

import numpy as np
import pytest
from launch import TINY, call, stop
from PIL import Image

from saip_mm.data import PersonImages
from saip_mm.data.images import ImageError
from saip_mm.data.quarantine import Quarantine, TooManyBadImages

KEY = (0, 0, 3)


def read(index: int) -> np.ndarray:
    if index % 3 == 0:
        raise ImageError(f'image {index} is broken')
    return np.full((4, 2, 3), index, np.uint8)


def listed(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_another_image_stands_in_and_the_bad_one_is_listed_once(tmp_path):
    path = tmp_path / 'bad.jsonl'
    quarantine = Quarantine(path, total=30, max_share=0.5)
    stand_in = quarantine.load(3, read, KEY)
    assert stand_in[0, 0, 0] % 3
    assert listed(path)[0] == dict(index=3, reason='image 3 is broken')
    before = path.read_text()
    again = Quarantine(path, total=30, max_share=0.5).load(3, read, KEY)
    np.testing.assert_array_equal(again, stand_in)  # whoever asks
    assert path.read_text() == before
    others = [quarantine.load(3, read, (0, epoch, 3))[0, 0, 0] for epoch in range(9)]
    assert len(set(others)) > 3  # in other epochs others stand in


def test_too_many_are_an_error(tmp_path):
    quarantine = Quarantine(tmp_path / 'bad.jsonl', total=30, max_share=0.1)
    for index in (0, 3, 6):
        quarantine.add(index, 'broken')
    with pytest.raises(TooManyBadImages, match=r'4 of 30 .* at most 3 .*bad.jso'):
        quarantine.add(9, 'broken')


@pytest.mark.parametrize(
    'total, most', [(1, 0), (2, 1), (3, 1), (12, 6), (50, 10), (1000, 10), (5000, 50)]
)
def test_a_few_bad_images_never_end_a_training(total, most, tmp_path):
    """Neither one of fifty does, nor two of three go unnoticed."""
    quarantine = Quarantine(tmp_path / 'bad', total, max_share=0.01, max_few=10)
    for index in range(most):
        quarantine.add(index, 'broken')
    with pytest.raises(TooManyBadImages, match=f'{most + 1} of {total} images'):
        quarantine.add(most, 'broken')


def test_a_line_that_a_crash_cut_off_is_no_problem(tmp_path):
    path = tmp_path / 'bad.jsonl'
    path.write_text('{"index": 3, "reason": "a"}\n{"index": 5, "re')
    quarantine = Quarantine(path, total=30, max_share=0.5)
    assert quarantine.count() == 1
    for index in (3, 7, 8):
        quarantine.add(index, 'broken')
    assert quarantine.count() == 3


def test_a_list_that_cannot_be_written_is_no_problem(tmp_path):
    (tmp_path / 'bad.jsonl').mkdir()
    quarantine = Quarantine(tmp_path / 'bad.jsonl', total=30, max_share=0.2)
    assert quarantine.load(3, read, KEY)[0, 0, 0] % 3
    with pytest.raises(TooManyBadImages):
        add_all(quarantine, range(7))


def add_all(quarantine, numbers) -> None:
    for number in numbers:
        quarantine.add(number, 'broken')


def test_processes_share_the_list(tmp_path):
    path = tmp_path / 'bad.jsonl'
    quarantine = Quarantine(path, total=1000, max_share=0.9)
    workers = [
        multiprocessing.Process(target=add_all, args=(quarantine, range(100)))
        for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(entry['index'] for entry in listed(path)) == list(range(100))


@pytest.fixture
def photographs(tmp_path):
    """A folder of twelve images, two of which cannot be used."""
    folder = tmp_path / 'people'
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(12):
        pixels = rng.integers(0, 255, (80, 40, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f'{i:02}.jpg')
    content = (folder / '03.jpg').read_bytes()
    (folder / '03.jpg').write_bytes(content[: len(content) // 2])
    Image.new('RGB', (50000, 2)).save(folder / '05.png')
    (folder / '05.jpg').unlink()
    return folder


def test_training_goes_on_without_them(photographs, tmp_path):
    work_dir = tmp_path / 'run'
    options = ['train_dataloader.num_workers=2', 'train_dataloader.batch_size=6']
    config = tmp_path / 'config.py'
    config.write_text(
        f'_base_ = {str(TINY)!r}\n'
        'train_dataloader = dict(dataset=dict(_delete_=True, type="PersonImages",\n'
        f'    data_root={str(photographs)!r},\n'
        '    pipeline={{_base_.train_dataloader.dataset.pipeline}}))\n'
    )
    arguments = [config, '--work-dir', work_dir, '--cfg-options', *options]
    call('tools/train.py', *arguments)
    bad = listed(work_dir / 'bad_images.jsonl')
    assert {entry['index'] for entry in bad} == {3, 5}
    call('tools/train.py', *arguments)  # once more, and anew
    (aside,) = work_dir.glob('superseded_*/bad_images.jsonl')
    assert listed(aside) == bad
    again = listed(work_dir / 'bad_images.jsonl')
    assert {entry['index'] for entry in again} == {3, 5}
    reasons = ' '.join(entry['reason'] for entry in bad)
    assert '03.jpg' in reasons and '2x50000 pixels' in reasons
    # Two workers may have met one bad image each.
    with pytest.raises(RuntimeError, match='[12] of 12 images cannot be used, and at'):
        arguments.append('default_hooks.quarantine.max_few=0')
        call('tools/train.py', *[*arguments[:2], tmp_path / 'strict', *arguments[3:]])


def test_data_are_checked_beforehand(photographs, tmp_path, capsys):
    out, good = tmp_path / 'bad.jsonl', tmp_path / 'good.txt'
    arguments = ['--out', out, '--good', good, '--processes', 2]
    assert call('tools/check_data.py', photographs, *arguments) == 1
    assert '2 of 12 images cannot be used' in capsys.readouterr().out
    assert [entry['index'] for entry in listed(out)] == [3, 5]
    dataset = PersonImages(data_root=str(photographs), ann_file=str(good))
    assert len(dataset) == 10
    assert call('tools/check_data.py', tmp_path / 'none', '--out', out) == 2
    assert 'error: ' in capsys.readouterr().err


def test_black_and_flat_images_are_reported(photographs, tmp_path, capsys):
    rng = np.random.default_rng(0)
    flat = {
        '20.jpg': np.zeros((80, 40, 3), np.uint8),
        '21.png': np.full((80, 40, 3), (9, 200, 30), np.uint8),
        '22.png': rng.integers(0, 5, (80, 40, 3), np.uint8),  # a covered lens
    }
    for name, pixels in flat.items():
        Image.fromarray(pixels).save(photographs / name)
    dark = rng.integers(0, 20, (80, 40, 3), np.uint8)
    Image.fromarray(dark).save(photographs / '23.png')
    out, good = tmp_path / 'bad.jsonl', tmp_path / 'good.txt'
    arguments = [photographs, '--out', out, '--good', good, '--processes', 2]
    assert call('tools/check_data.py', *arguments) == 1
    text = capsys.readouterr().out
    assert f'2 of 16 images cannot be used, and 3 are of a single color: {out}' in text
    reasons = {entry['index']: entry['reason'] for entry in listed(out)}
    assert list(reasons) == [3, 5, 12, 13, 14]
    assert '21.png: all pixels have nearly the same color, (9, 200, 30)' in reasons[13]
    assert not flat.keys() & set(good.read_text().split())
    PersonImages(data_root=str(photographs))[12]  # which training may use


def test_lists_that_cannot_be_written_are_found_before(photographs, tmp_path, capsys):
    (tmp_path / 'file').write_text('')
    for options in (['--out', tmp_path], ['--out', tmp_path / 'file/bad.jsonl']):
        assert call('tools/check_data.py', photographs, *options) == 2
        printed = capsys.readouterr()
        assert 'error: ' in printed.err and str(tmp_path) in printed.err
        assert 'Images' not in printed.out  # the progress


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_check_that_is_told_to_stop(photographs, tmp_path, number):
    Image.new('RGB', (1000, 1000)).save(tmp_path / 'large.jpg')
    for i in range(3000):
        os.link(tmp_path / 'large.jpg', photographs / f'large{i}.jpg')
    out = tmp_path / 'bad.jsonl'
    partial = tmp_path / 'bad.jsonl.partial'
    arguments = [photographs, '--out', out, '--processes', 2]
    status, text = stop(
        'tools/check_data.py',
        *arguments,
        number=number,
        when=lambda: partial.exists() and partial.read_text(),
    )
    assert status == 128 + number
    assert 'Traceback' not in text
    assert f'stopped by {number.name}: what was found so far is in {partial}' in text
    assert not out.exists()
    assert listed(partial)[0]['index'] == 3


def test_scenes_are_checked_as_well(photographs, tmp_path):
    config, out = tmp_path / 'config.py', tmp_path / 'bad.jsonl'
    config.write_text(
        'train_dataloader = dict(dataset=dict(type="SyntheticPeople", size=(64, 32),\n'
        '    num_identities=3, images_per_identity=2, scenes=dict(\n'
        f'        type="PersonImages", data_root={str(photographs)!r})))\n'
    )
    assert call('tools/check_data.py', config, '--out', out, '--processes', 1) == 1
    assert [entry['scene'] for entry in listed(out)] == [3, 5]


def test_names_that_no_list_can_hold(photographs, tmp_path, capsys):
    (photographs / '00.jpg').rename(photographs / '#00.jpg')
    arguments = ['--out', tmp_path / 'bad.jsonl', '--good', tmp_path / 'good.txt']
    assert call('tools/check_data.py', photographs, *arguments) == 2
    assert "a list cannot name '#00.jpg'" in capsys.readouterr().err
    assert not (tmp_path / 'bad.jsonl').exists()


def test_a_config_of_other_data(tmp_path, capsys):
    config = tmp_path / 'config.py'
    config.write_text("train_dataloader = dict(dataset=dict(type='CIFAR10'))")
    assert call('tools/check_data.py', config, '--out', tmp_path / 'bad.jsonl') == 2
    assert 'is of type CIFAR10, and should be' in capsys.readouterr().err
