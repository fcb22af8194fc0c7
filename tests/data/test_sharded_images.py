"""Shards hold the images of their source; damaged images are named."""

import errno
import json
import os
import re
import resource
import shlex
import shutil
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
import short_runs
import torch
from image_files import pack
from launch import ROOT
from PIL import Image
from short_runs import on_data
from trap import Trap

from saip_mm.checkpoints.files import read_checkpoint
from saip_mm.data import ConcatPeople, DrawViews, PersonImages, ShardedImages
from saip_mm.data.images import ImageError
from saip_mm.data.quarantine import Quarantine
from saip_mm.training import SafeRunner
from saip_mm.training.config import add_options, load_config

litdata = pytest.importorskip('litdata')


def images(dataset) -> list[np.ndarray]:
    return [
        dataset.load_image(dataset.get_data_info(index))
        for index in range(len(dataset))
    ]


def test_images_and_order_match_the_folder(folder, shards, monkeypatch):
    monkeypatch.setenv('HOME', str(shards.parent))
    packed, original = ShardedImages('~/shards'), PersonImages(str(folder))
    assert len(packed) == 12
    for index, image in enumerate(images(packed)):
        expected = original.load_image(original.get_data_info(index))
        np.testing.assert_array_equal(image, expected)
    (line,) = (shards / 'bad_images.jsonl').read_text().splitlines()
    bad = json.loads(line)
    assert bad['index'] == 12 and '12.jpg' in bad['reason']


def test_without_litdata(shards, monkeypatch):
    monkeypatch.delattr('saip_mm.data.litdata_format', raising=False)
    monkeypatch.setitem(sys.modules, 'saip_mm.data.litdata_format', None)
    with pytest.raises(ImportError, match="run pip install 'litdata<0.3'"):
        ShardedImages(str(shards))


def test_litdata_reads_shards(folder, shards, monkeypatch):
    monkeypatch.setenv('LITDATA_DISABLE_VERSION_CHECK', '1')
    stream = litdata.StreamingDataset(str(shards))
    names = sorted(folder.iterdir())[:12]
    assert [bytes(stream[i][0]).decode() for i in range(12)] == list(map(str, names))
    assert [stream[i][1] for i in range(12)] == [path.read_bytes() for path in names]


def test_people_in_photographs(folder, tmp_path):
    content = dict(
        images=[dict(id=1, file_name='00.jpg', height=80, width=40)],
        annotations=[dict(id=9, image_id=1, bbox=[2, 3, 34, 70])],
    )
    (tmp_path / 'boxes.json').write_text(json.dumps(content))
    config = tmp_path / 'config.py'
    config.write_text(
        'train_dataloader = dict(dataset=dict(type="PersonImages", margin=0,\n'
        f'    data_root={str(folder)!r}, ann_file={str(tmp_path / "boxes.json")!r}))\n'
    )
    pack(config, tmp_path / 'shards')
    (crop,) = images(ShardedImages(str(tmp_path / 'shards')))
    with Image.open(folder / '00.jpg') as whole:
        np.testing.assert_array_equal(crop, np.array(whole)[3:73, 2:36])


def reasons(shards, originals: list[np.ndarray]) -> dict[int, str]:
    """Return why images cannot be used, by index; the others must be unchanged."""
    dataset, found = ShardedImages(str(shards)), {}
    for index, original in enumerate(originals):
        try:
            image = dataset.load_image(dataset.get_data_info(index))
        except ImageError as error:
            found[index] = str(error)
        else:
            np.testing.assert_array_equal(image, original)
    return found


def test_damaged_shards(folder, shards):
    originals = images(ShardedImages(str(shards)))
    path = shards / 'chunk-0-1.bin'
    content = path.read_bytes()
    inside = content.index((folder / '07.webp').read_bytes()) + 50
    for position in [inside, *range(0, len(content), 499)]:
        flipped = bytearray(content)
        flipped[position] ^= 4
        path.write_bytes(flipped)
        found = reasons(shards, originals)
        assert found.keys() <= {5, 6, 7, 8, 9}
        if position == inside:
            assert list(found) == [7]
            assert 'chunk-0-1.bin, image 7: its checksum is wrong; copy' in found[7]
    path.write_bytes(content[:-100])
    found = reasons(shards, originals)
    assert list(found) == [5, 6, 7, 8, 9]
    assert f'does not have {len(content)} bytes' in found[5]
    path.unlink()
    assert list(reasons(shards, originals)) == [5, 6, 7, 8, 9]


@contextmanager
def no_more_files() -> Iterator[None]:
    """Lower the limit of open files to those that are open."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize('kind', [PersonImages, ShardedImages])
def test_failures_of_the_machine_are_not_bad_images(
    folder, shards, tmp_path, kind, monkeypatch
):
    dataset = kind(str(folder if kind is PersonImages else shards))
    dataset.quarantine = Quarantine(tmp_path / 'bad.jsonl', len(dataset), 0.5)
    first = dataset.load(0, (0, 0, 0))
    with no_more_files(), pytest.raises(OSError, match='Too many open') as error:
        dataset.load(0, (0, 0, 0))
    assert error.value.errno == errno.EMFILE
    assert str(folder if kind is PersonImages else shards) in str(error.value)
    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(np, 'array', Mock(side_effect=MemoryError))
        dataset.load(0, (0, 0, 0))
    assert dataset.quarantine.count() == 0
    np.testing.assert_array_equal(dataset.load(0, (0, 0, 0)), first)


def test_pickles_in_shards_are_not_loaded(tmp_path):
    from litdata.streaming.writer import BinaryWriter

    marker, out = tmp_path / 'ran', tmp_path / 'trapped'
    writer = BinaryWriter(str(out), chunk_size=9)
    writer.add_item(0, [b'name', Trap(os.mkdir, str(marker)), 0])
    writer.done()
    writer.merge()
    litdata.StreamingDataset(str(out))[0]
    assert marker.exists(), 'the trap works'
    marker.rmdir()
    with pytest.raises(ValueError, match='not an index written by tools/pack_shards'):
        ShardedImages(str(out))
    assert not marker.exists()


def test_url(shards, tmp_path):
    with pytest.raises(ValueError, match='give cache_dir'):
        ShardedImages('s3://bucket/people')
    with pytest.raises(ValueError, match='^local:none: no index of shards can be read'):
        ShardedImages('local:none', cache_dir=str(tmp_path / 'none'))
    remote = ShardedImages(f'local:{shards}', cache_dir=str(tmp_path / 'cache'))
    local = ShardedImages(str(shards))
    for ours, other in zip(images(remote), images(local), strict=True):
        np.testing.assert_array_equal(ours, other)


def test_an_index_is_fetched_again_after_repacking(folder, shards, tmp_path):
    cache = tmp_path / 'cache'

    def fetched() -> tuple[int, int]:
        count = len(ShardedImages(f'local:{shards}', cache_dir=str(cache)))
        return count, next(cache.rglob('index.json')).stat().st_mtime_ns

    before = fetched()
    assert before[0] == 12 and fetched() == before
    min(folder.iterdir()).unlink()
    shutil.rmtree(shards)
    pack(folder, shards)
    assert fetched()[0] == 11


def test_processes_that_start_together_retry(shards, tmp_path, monkeypatch):
    reader, waited, module = Mock(), [], 'saip_mm.data.sharded_images'
    opened = Mock(input_dir=Mock(path=str(shards)))
    reader().open_shards.side_effect = [OSError('busy'), OSError('busy'), opened]
    monkeypatch.setattr(f'{module}.litdata', reader)
    monkeypatch.setattr(f'{module}.is_distributed', lambda: True)
    monkeypatch.setattr(f'{module}.time.sleep', waited.append)
    assert len(ShardedImages('s3://bucket/people', cache_dir=str(tmp_path))) == 12
    assert waited == [1, 2]


def train(work_dir, dataset: str, *options: str) -> dict:
    """Train on a data set and return the final weights."""
    config = on_data(work_dir.with_suffix('.py'), dataset)
    options = 'train_dataloader.batch_size=6', *options
    short_runs.train(work_dir, *options, config=config)
    return read_checkpoint(work_dir / 'epoch_2.pth')['state_dict']


def test_training_matches_the_folder(folder, shards, tmp_path):
    (folder / '12.jpg').unlink()
    packed = f'type="ShardedImages", data_root={str(shards)!r}'
    expected = train(tmp_path / 'a', f'type="PersonImages", data_root={str(folder)!r}')
    ours = train(tmp_path / 'b', packed, 'train_dataloader.num_workers=2')
    assert all(torch.equal(ours[name], expected[name]) for name in expected)
    shutil.copytree(shards, tmp_path / 'damaged')
    path = tmp_path / 'damaged/chunk-0-2.bin'
    path.write_bytes(path.read_bytes()[:-1])
    packed = f'type="ShardedImages", data_root={str(tmp_path / "damaged")!r}'
    train(tmp_path / 'c', packed, 'default_hooks.quarantine.max_share=0.2')
    bad = (tmp_path / 'c/bad_images.jsonl').read_text()
    assert {json.loads(line)['index'] for line in bad.splitlines()} == {10, 11}


def test_settings_in_the_docs(shards, tmp_path, monkeypatch):
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data/people_shards').symlink_to(shards)
    monkeypatch.chdir(tmp_path)
    docs = (ROOT / 'docs/shards.md').read_text()
    pattern = r'^    (python tools/train.py .*\n(?:     .*\n)*)'
    (command,) = re.findall(pattern, docs, re.M)
    _, _, config, *options = shlex.split(command.replace('\\\n', ''))
    parser = ArgumentParser()
    add_options(parser)
    options += ['train_dataloader.batch_size=8', 'train_dataloader.num_workers=0']
    cfg = load_config(str(ROOT / config), parser.parse_args(options).cfg_options)
    loader = SafeRunner.build_dataloader(cfg.train_dataloader, seed=0)
    assert len(loader.dataset) == 12
    assert next(iter(loader))['inputs']['globals'].shape == (8, 2, 3, 256, 128)


class Whole(PersonImages):
    def max_reduction(self, shape):
        return 1


def test_samples_of_large_jpegs(folder, tmp_path):
    """Files and shards are reduced alike, and samples of small images unchanged."""
    (folder / '12.jpg').unlink()
    large = cv2.resize(cv2.imread(str(folder / '00.jpg')), (1000, 2000))
    for index in range(2):
        cv2.imwrite(str(folder / f'large{index}.jpg'), large)
    pack(folder, tmp_path / 'shards')
    options = dict(pipeline=[DrawViews(), lambda results: results])
    files, whole = PersonImages(str(folder), **options), Whole(str(folder), **options)
    shards = ShardedImages(str(tmp_path / 'shards'), **options)
    for index in range(len(whole)):
        full = whole[index]
        for sample in (files[index], shards[index], ConcatPeople([files])[index]):
            for key in ('image', 'scene'):
                if full[key].shape == large.shape:
                    assert sample[key].shape == (1000, 500, 3)
                else:
                    np.testing.assert_array_equal(sample[key], full[key])
    info = files.get_data_info(13)
    assert files.load_image(info).shape == large.shape  # what tools read
    strict = PersonImages(str(folder), min_size=(2000, 1000))
    info |= dict(max_reduction=files.max_reduction)
    for dataset in (files, strict):
        assert dataset.load_image(info).shape == (1000, 500, 3)
    with pytest.raises(ImageError, match=r'large1\.jpg: 2000x1000 pixels .*2001x1000'):
        PersonImages(str(folder), min_size=(2001, 1000)).load_image(info)
    content = dict(
        images=[dict(id=1, file_name='large0.jpg')],
        annotations=[dict(image_id=1, bbox=[100, 0, 800, 1999])],
    )
    (tmp_path / 'boxes.json').write_text(json.dumps(content))
    boxes = PersonImages(str(folder), '../boxes.json', margin=0, **options)
    assert boxes[0]['image'].shape == (1999, 800, 3)
