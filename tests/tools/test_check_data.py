"""tools/check_data.py lists unusable images."""

import argparse
import multiprocessing
import os
import signal

import numpy as np
import pytest
from image_files import listed
from launch import call, stop
from PIL import Image

from saip_mm.data import PersonImages
from saip_mm.processes import add_processes_option


def test_bad_and_good_images_are_listed(photographs, tmp_path, capsys):
    rng = np.random.default_rng(0)
    flat = {
        '20.jpg': np.zeros((80, 40, 3), np.uint8),
        '21.png': np.full((80, 40, 3), (9, 200, 30), np.uint8),
        '22.png': rng.integers(0, 5, (80, 40, 3), np.uint8),  # a covered lens
    }
    for name, pixels in flat.items():
        Image.fromarray(pixels).save(photographs / name)
    dark = rng.integers(0, 20, (80, 40, 3), np.uint8)
    for name in ('23.png', '#24.png', ' 25.png'):  # a list needs care with the last two
        Image.fromarray(dark).save(photographs / name)
    out, good = tmp_path / 'bad.jsonl', tmp_path / 'good.txt'
    arguments = [photographs, '--out', out, '--good', good, '--processes', 2]
    assert call('tools/check_data.py', *arguments) == 1
    text = capsys.readouterr().out
    assert f'2 of 18 images cannot be used, and 3 are of a single color: {out}' in text
    reasons = {entry['index']: entry['reason'] for entry in listed(out)}
    assert list(reasons) == [5, 7, 14, 15, 16]
    assert '21.png: all pixels have nearly the same color, (9, 200, 30)' in reasons[15]
    assert not flat.keys() & set(good.read_text().split())
    assert len(PersonImages(data_root=str(photographs), ann_file=str(good))) == 13
    everything = PersonImages(data_root=str(photographs))
    everything.load_image(everything.get_data_info(14))  # training uses flat images
    with pytest.raises(ValueError, match='is not a config, which --cfg-options'):
        call('tools/check_data.py', *arguments, '--cfg-options', 'work_dir=a')
    (photographs / '23.png').rename(photographs / '23\n.png')
    with pytest.raises(ValueError, match=r"cannot name '23\\n\.png'; rename"):
        call('tools/check_data.py', *arguments)


def test_outputs_are_checked_first(photographs, tmp_path, capsys):
    (tmp_path / 'file').write_text('')
    for out in (tmp_path, tmp_path / 'file/bad.jsonl'):
        with pytest.raises(OSError, match=str(tmp_path)):
            call('tools/check_data.py', photographs, '--out', out)
        assert 'Images' not in capsys.readouterr().out  # the progress


def test_interrupt(photographs, tmp_path):
    Image.new('RGB', (1000, 1000)).save(tmp_path / 'large.jpg')
    for i in range(3000):
        os.link(tmp_path / 'large.jpg', photographs / f'large{i}.jpg')
    out = tmp_path / 'bad.jsonl'
    partial = tmp_path / 'bad.jsonl.partial'
    arguments = [photographs, '--out', out, '--processes', 2]
    status, text = stop(
        'tools/check_data.py',
        *arguments,
        number=signal.SIGINT,
        when=lambda: partial.exists() and partial.read_text(),
    )
    assert status == 128 + signal.SIGINT
    assert 'Traceback' not in text
    assert f'stopped by SIGINT: {partial} lists what was found so far' in text
    assert not out.exists()
    assert listed(partial)[0]['index'] == 3


def test_processes_that_cannot_be_started(photographs, tmp_path, monkeypatch):
    fork, started, others = os.fork, [], multiprocessing.active_children()

    def fork_twice() -> int:
        if len(started) == 2:
            raise BlockingIOError(11, 'Resource temporarily unavailable')
        started.append(fork())
        return started[-1]

    monkeypatch.setattr(os, 'fork', fork_twice)
    with pytest.raises(ChildProcessError, match='not be started.* lower --processes'):
        arguments = [photographs, '--out', tmp_path / 'bad.jsonl', '--processes', 3]
        call('tools/check_data.py', *arguments)
    for process in {*multiprocessing.active_children()} - {*others}:
        process.join(9)
        assert process.exitcode  # else the tool would wait for it


def test_one_process_per_usable_core():
    parser, usable = argparse.ArgumentParser(), os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(usable)})
    try:
        add_processes_option(parser)
    finally:
        os.sched_setaffinity(0, usable)
    assert parser.parse_args([]).processes == 1


def test_scenes_are_checked(photographs, tmp_path):
    config, out = tmp_path / 'config.py', tmp_path / 'bad.jsonl'
    config.write_text(
        'train_dataloader = dict(dataset=dict(type="SyntheticPeople", size=(64, 32),\n'
        '    num_identities=3, images_per_identity=2, scenes=dict(\n'
        f'        type="PersonImages", data_root={str(photographs)!r})))\n'
    )
    assert call('tools/check_data.py', config, '--out', out, '--processes', 1) == 1
    assert [entry['scene'] for entry in listed(out)] == [3, 5]
