"""Images that cannot be used do not end a training."""

import multiprocessing

import numpy as np
import pytest
from launch import TINY, call
from spoiled import listed

from saip_mm.data.images import ImageError
from saip_mm.data.quarantine import Quarantine, TooManyBadImages

KEY = (0, 0, 3)


def read(index: int) -> np.ndarray:
    if index % 3 == 0:
        raise ImageError(f'image {index} is broken')
    return np.full((4, 2, 3), index, np.uint8)


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
