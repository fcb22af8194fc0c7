"""tools/pack_shards.py resumes, and never mixes images or settings."""

import os
import signal
import time

import pytest
from image_files import pack
from launch import TINY, Script, call, stop

from saip_mm.data import ShardedImages

pytest.importorskip('litdata')


def contents(folder) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}


def test_interrupt(folder, tmp_path):
    for i in range(1000):  # enough for some seconds
        os.link(folder / '01.png', folder / f'z{i}.png')
    out = tmp_path / 'out'
    options = ['--images-per-shard', 5, '--processes', 2]
    status, text = stop(
        'tools/pack_shards.py',
        folder,
        out,
        *options,
        number=signal.SIGINT,
        when=lambda: (out / 'parts' / '000003.json').exists(),
    )
    assert status == 128 + signal.SIGINT
    assert 'Traceback' not in text
    assert 'stopped by SIGINT: all finished shards are kept; rerun' in text
    begun = contents(out)
    assert 1 <= len(list((out / 'parts').iterdir())) < 100
    pack(folder, out)
    assert contents(out).items() >= begun.items()
    assert len(ShardedImages(str(out))) == 1012


def test_a_second_command_is_refused(folder, tmp_path):
    for i in range(1000):  # enough for some seconds
        os.link(folder / '01.png', folder / f'z{i}.png')
    out = tmp_path / 'out'
    options = ['--images-per-shard', 5, '--processes', 2]
    first = Script('tools/pack_shards.py', folder, out, *options)
    while not (out / 'parts/000003.json').exists():
        time.sleep(0.01)
    with pytest.raises(BlockingIOError, match='out: another command is packing into'):
        pack(folder, out)
    assert '1012 images packed' in first.communicate()
    assert first.wait() == 0
    assert len(ShardedImages(str(out))) == 1012


def test_a_url_is_refused(folder, capsys):
    assert call('tools/pack_shards.py', folder, 's3://bucket/people') == 2
    assert 's3://bucket/people: give a local folder' in capsys.readouterr().err


def test_missing_shards_are_written(folder, shards):
    before = contents(shards)
    (shards / 'index.json').unlink()
    with pytest.raises(FileNotFoundError, match='index.json: no such index'):
        ShardedImages(str(shards))
    first, second = shards / 'chunk-0-0.bin', shards / 'chunk-0-1.bin'
    kept = first.stat().st_mtime_ns
    second.write_bytes(second.read_bytes()[:-1])
    (shards / 'parts/000002.json').unlink()
    assert pack(folder, shards) is None
    assert contents(shards) == before
    assert first.stat().st_mtime_ns == kept
    with pytest.raises(ValueError, match='was begun with other images'):
        pack(folder, shards, '--images-per-shard', 6)
    (folder / '11.png').unlink()
    with pytest.raises(ValueError, match='was begun with other images'):
        pack(folder, shards)
    with pytest.raises(ValueError, match='contains other files'):
        pack(folder, folder)


def test_other_settings_are_rejected(tmp_path):
    shards = tmp_path / 'shards'
    pack(TINY, shards)
    (shards / 'index.json').unlink()
    with pytest.raises(FileNotFoundError, match='rerun it if it was interrupted'):
        call('tools/check_data.py', shards, '--out', tmp_path / 'bad.jsonl')
    options = ['--cfg-options', 'train_dataloader.dataset.size=(96,48)']
    with pytest.raises(ValueError, match=r'other images or settings \(size in '):
        pack(TINY, shards, *options)
    (shards / 'packed_from.json').write_text('{')
    with pytest.raises(ValueError, match='packed_from.json is damaged'):
        pack(TINY, shards)
    two, config = tmp_path / 'two', tmp_path / 'two.py'
    text = (
        'people = dict(type="SyntheticPeople", num_identities=1, size=(64, 32))\n'
        'train_dataloader = dict(dataset=dict(type="ConcatDataset",\n'
        '    datasets=[people, dict(people, seed=1, size=(80, 40))]))\n'
    )
    config.write_text(text)
    pack(config, two)
    config.write_text(text.replace('64, 32', '72, 36'))
    with pytest.raises(ValueError, match=r'other images or settings \(size in '):
        pack(config, two)


def test_workers_exit_with_a_killed_parent(tmp_path):
    options = ['--images-per-shard', '2', '--processes', '2', '--cfg-options']
    options += ['train_dataloader.dataset.images_per_identity=9999']
    process = Script('tools/pack_shards.py', TINY, tmp_path / 'shards', *options)
    while not list((tmp_path / 'shards').glob('*.bin')):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.communicate()  # until no worker has the output open
