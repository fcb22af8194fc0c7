"""Images, annotations, lists and shards of any content."""

import json

import numpy as np
import pytest
from fuzzing import SEEDS, attempt, changed, fuzzed, spoil
from hypothesis import given
from hypothesis import strategies as st
from image_files import noise

from saip_mm.data import PersonImages, ShardedImages
from saip_mm.data.images import ImageError
from saip_mm.data.packing import pack_shards
from saip_mm.data.person_boxes import read_person_boxes, read_person_keypoints
from saip_mm.data.quarantine import Quarantine


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('people')
    rng = np.random.default_rng(0)
    for i in range(4):
        noise(rng).save(folder / f'{i}.jpg')
    return folder


def person(i: int) -> dict:
    box = dict(bbox=[1, 2.5, 34, 70], area=70, keypoints=[5, 6, 2])
    return dict(id=i, image_id=i % 3, category_id=1, iscrowd=0, **box)


COCO = dict(
    images=[dict(id=i, file_name=f'{i}.jpg', height=80, width=40) for i in range(3)],
    annotations=[person(i) for i in range(4)],
    categories=[dict(id=1, name='person')],
)


@fuzzed()
@given(changed(COCO), SEEDS)
def test_annotations(folder, content, seed):
    path = folder / 'boxes.json'
    info = dict(img_path='0.jpg', box=(0, 0, 40, 80), size=None, sample_idx=0)
    for text in (json.dumps(content).encode(), spoil(json.dumps(COCO).encode(), seed)):
        path.write_bytes(text)
        attempt(lambda: read_person_boxes(str(path)), path)
        attempt(lambda: read_person_keypoints(str(path)), path)
        attempt(lambda: PersonImages(str(folder), path.name).load_image(info), path)


@fuzzed()
@given(SEEDS, st.lists(st.text(max_size=12), max_size=4))
def test_lists(folder, seed, names):
    path = folder / 'list.txt'
    spoiled = spoil(b'0.jpg\n1.jpg\n# \n2.jpg\n', seed)
    for text in (spoiled, '\n'.join(names).encode(errors='replace')):
        path.write_bytes(text)
        attempt(lambda: PersonImages(str(folder), str(path)), path)


@fuzzed()
@given(SEEDS)
def test_images(folder, seed):
    path = folder / 'spoiled.jpg'
    path.write_bytes(spoil((folder / '0.jpg').read_bytes(), seed))
    dataset = PersonImages(str(folder))
    index = [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]
    info = dataset.get_data_info(index.index('spoiled.jpg'))
    attempt(lambda: dataset.load_image(info), path)
    path.unlink()


@fuzzed()
@given(SEEDS)
def test_lists_of_bad_images(folder, seed):
    path = folder / 'bad.jsonl'
    lines = ''.join(f'{{"index": {i}, "reason": "no image"}}\n' for i in range(4))
    path.write_bytes(spoil(lines.encode(), seed))
    quarantine = Quarantine(path, 1000, 0.9)
    quarantine.add(77, 'another')
    assert 77 in quarantine.known
    assert quarantine.count() == len(quarantine.known)


@pytest.fixture(scope='module')
def shards(folder, tmp_path_factory):
    pytest.importorskip('litdata')
    out = tmp_path_factory.mktemp('shards')
    names = folder / 'four.txt'
    names.write_text('0.jpg\n1.jpg\n2.jpg\n3.jpg\n')
    people = PersonImages(str(folder), str(names))
    pack_shards(people, out, 2, 1)
    return out


def read_shards(shards) -> None:
    dataset = ShardedImages(str(shards))
    for index in range(min(len(dataset), 6)):
        try:
            dataset.load_image(dataset.get_data_info(index))
        except ImageError as error:
            assert str(shards) in str(error)


@fuzzed()
@given(st.data(), SEEDS, st.booleans())
def test_shards(shards, data, seed, same_size):
    index, shard = shards / 'index.json', shards / 'chunk-0-1.bin'
    whole = {path: path.read_bytes() for path in (index, shard)}
    spoiled = spoil(whole[shard], seed)
    if same_size:
        spoiled = spoiled[: len(whole[shard])].ljust(len(whole[shard]), b'x')
    try:
        shard.write_bytes(spoiled)
        read_shards(shards)
        shard.write_bytes(whole[shard])
        index.write_text(json.dumps(data.draw(changed(json.loads(whole[index])))))
        attempt(lambda: read_shards(shards), index)
    finally:
        for path, content in whole.items():
            path.write_bytes(content)
