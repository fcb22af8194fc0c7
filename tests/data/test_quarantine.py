"""Unusable images do not stop training."""

import fcntl
import multiprocessing

import numpy as np
import pytest
from image_files import listed
from short_runs import log_of, on_data, train

from saip_mm.data.images import ImageError
from saip_mm.data.quarantine import Quarantine, TooManyBadImages

KEY = (0, 0, 3)


def read(index: int) -> np.ndarray:
    if index % 3 == 0:
        raise ImageError(f'image {index} is broken')
    return np.full((4, 2, 3), index, np.uint8)


def add_all(quarantine, numbers) -> None:
    for number in numbers:
        quarantine.add(number, 'broken')


def test_bad_images_are_replaced_and_listed_once(tmp_path):
    path = tmp_path / 'bad.jsonl'
    quarantine = Quarantine(path, total=30, max_share=0.5)
    replacement = quarantine.load(3, read, KEY)
    assert replacement[0, 0, 0] % 3
    assert listed(path)[0] == dict(index=3, reason='image 3 is broken')
    before = path.read_text()
    again = Quarantine(path, total=30, max_share=0.5).load(3, read, KEY)
    np.testing.assert_array_equal(again, replacement)
    assert path.read_text() == before
    others = [quarantine.load(3, read, (0, epoch, 3))[0, 0, 0] for epoch in range(9)]
    assert len(set(others)) > 3  # other epochs use other replacements
    for epoch in range(9):  # a bad image that is drawn again is not the end
        two = Quarantine(tmp_path / 'two.jsonl', total=2, max_share=0.5)
        assert two.load(0, read, (0, epoch, 0))[0, 0, 0] == 1


@pytest.mark.parametrize(
    'total, most, max_few',
    [
        *((1, 0, 10), (2, 1, 10), (3, 1, 10), (12, 6, 10), (50, 10, 10)),
        *((1000, 10, 10), (5000, 50, 10), (300, 3, 0)),
    ],
)
def test_number_of_tolerated_images(total, most, max_few, tmp_path):
    path = tmp_path / 'bad.jsonl'
    quarantine = Quarantine(path, total, max_share=0.01, max_few=max_few)
    add_all(quarantine, range(most))
    message = f'{most + 1} of {total} images .* at most {most} .*bad.jsonl'
    with pytest.raises(TooManyBadImages, match=message):
        quarantine.add(most, 'broken')


def test_truncated_line(tmp_path):
    path = tmp_path / 'bad.jsonl'
    path.write_text('{"index": 3, "reason": "a"}\n{"index": 5, "re')
    quarantine = Quarantine(path, total=30, max_share=0.5)
    assert quarantine.count() == 1
    add_all(quarantine, (3, 7, 8))
    assert quarantine.count() == 3


def test_list_that_cannot_be_written(tmp_path):
    (tmp_path / 'bad.jsonl').mkdir()
    quarantine = Quarantine(tmp_path / 'bad.jsonl', total=30, max_share=0.2)
    assert quarantine.load(3, read, KEY)[0, 0, 0] % 3
    with pytest.raises(TooManyBadImages):
        add_all(quarantine, range(7))


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, 'flock', lambda *_: (tmp_path / 'none').stat())
    quarantine = Quarantine(tmp_path / 'bad.jsonl', total=30, max_share=0.5)
    quarantine.add(3, 'broken')
    assert quarantine.count() == 1


def test_an_outage_lists_no_image(tmp_path):
    path, down = tmp_path / 'bad.jsonl', True

    def read_storage(index: int) -> np.ndarray:
        if down:
            raise ImageError(f'image {index}: no such bucket')
        return read(index)

    quarantine = Quarantine(path, total=240, max_share=0.5)
    with pytest.raises(TooManyBadImages, match='^30 images in a row .* no such'):
        quarantine.load(3, read_storage, KEY)
    assert not path.exists()
    down = False
    assert quarantine.load(3, read_storage, KEY)[0, 0, 0] % 3
    assert all(entry['index'] % 3 == 0 for entry in listed(path))


def test_processes_share_the_list(tmp_path):
    path = tmp_path / 'bad.jsonl'
    quarantine = Quarantine(path, total=1000, max_share=0.9)
    forked = multiprocessing.get_context('fork').Process
    arguments = quarantine, range(100)
    processes = [forked(target=add_all, args=arguments) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert sorted(entry['index'] for entry in listed(path)) == list(range(100))


def test_training_skips_bad_images(photographs, tmp_path):
    work_dir = tmp_path / 'run'
    options = ['train_dataloader.num_workers=2', 'train_dataloader.batch_size=6']
    data = f'type="PersonImages", data_root={str(photographs)!r}'
    config = on_data(tmp_path / 'config.py', data)
    train(work_dir, *options, config=config)
    assert '2 of 12 images are unusable so far' in log_of(work_dir)
    bad = listed(work_dir / 'bad_images.jsonl')
    assert {entry['index'] for entry in bad} == {3, 5}
    reasons = ' '.join(entry['reason'] for entry in bad)
    assert '03.jpg' in reasons and '2x50000 pixels' in reasons
    train(work_dir, *options, config=config)  # starts over
    (aside,) = work_dir.glob('superseded_*/bad_images.jsonl')
    assert listed(aside) == bad
    again = listed(work_dir / 'bad_images.jsonl')
    assert {entry['index'] for entry in again} == {3, 5}
    train(work_dir, *options, config=config, resume=True)  # keeps the list
    assert listed(work_dir / 'bad_images.jsonl') == again
    # Each of two workers may have found one bad image.
    options.append('default_hooks.quarantine.max_few=0')
    with pytest.raises(RuntimeError, match='[12] of 12 images cannot be used, and at'):
        train(tmp_path / 'strict', *options, config=config)
