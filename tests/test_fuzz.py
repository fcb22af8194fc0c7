"""Files from outside, of any content: used, or refused by an error that names them.

`SAIP_FUZZ_EXAMPLES=10000 pytest tests/test_fuzz.py` is the long form.
"""

import copy
import functools
import json
import os
import random
import string

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import saip_mm
from saip_mm.checkpoints.loading import load_pretrained
from saip_mm.data import PersonImages, ShardedImages
from saip_mm.data.checks.coco import (
    BOX_SCORES,
    BOXES,
    POSE,
    check_coco,
    check_detections,
)
from saip_mm.data.checks.crowdhuman import read_crowdhuman, useless_boxes
from saip_mm.data.coco import parse_json, read_plain_text
from saip_mm.data.images import ImageError
from saip_mm.data.packing import pack_shards
from saip_mm.data.person_boxes import read_person_boxes, read_person_keypoints
from saip_mm.data.quarantine import Quarantine
from saip_mm.models import SAIPViT
from saip_mm.training.resuming import check_checkpoint

EXAMPLES = int(os.environ.get('SAIP_FUZZ_EXAMPLES', 60))

fuzzed = functools.partial(
    settings,
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize='SAIP_FUZZ_EXAMPLES' not in os.environ,
    suppress_health_check=list(HealthCheck),
)

NUMBERS = st.integers(-3, 3) | st.integers() | st.floats()
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(string.ascii_letters, max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
SEEDS = st.integers(0, 2**32)


def places(content: object, path: tuple = ()) -> list[tuple]:
    """Ways to all that a tree of dicts and lists holds."""
    found = [path] if path else []
    items = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    for key, value in items:
        found += places(value, (*path, key))
    return found


@st.composite
def changed(draw, content: object) -> object:
    """A tree with something removed, or replaced by something else."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        ways = places(content)
        if not ways:
            return content
        *way, last = draw(st.sampled_from(ways))
        inner = content
        for key in way:
            inner = inner[key]
        if draw(st.booleans()):
            inner[last] = draw(VALUES)
        elif isinstance(inner, dict):
            del inner[last]
        else:
            inner.append(draw(VALUES))
    return content


def spoil(content: bytes, seed: int) -> bytes:
    """The same with bytes changed, left out, put in, or cut off."""
    rng, spoiled = random.Random(seed), bytearray(content)
    for _ in range(rng.randint(1, 5)):
        begin = rng.randrange(len(spoiled) + 1)
        end = min(len(spoiled), begin + rng.choice([1, 1, 4, 100]))
        how = rng.randrange(4)
        if how == 0:
            spoiled[begin:end] = rng.randbytes(end - begin)
        elif how == 1:
            del spoiled[begin:end]
        elif how == 2:
            spoiled[begin:begin] = rng.randbytes(rng.choice([1, 4, 100]))
        else:
            del spoiled[begin:]
    return bytes(spoiled)


def attempt(function, path) -> None:
    """Call what reads a file: it works, or the error names the file."""
    try:
        function()
    except (OSError, ValueError) as error:
        assert str(path) in str(error), repr(error)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('people')
    rng = np.random.default_rng(0)
    for i in range(4):
        pixels = rng.integers(0, 255, (80, 40, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f'{i}.jpg')
    return folder


COCO = dict(
    images=[dict(id=i, file_name=f'{i}.jpg', height=80, width=40) for i in range(3)],
    annotations=[
        dict(
            id=i,
            image_id=i % 3,
            category_id=1,
            iscrowd=0,
            area=70,
            bbox=[1, 2.5, 34, 70],
            keypoints=[5, 6, 2],
        )
        for i in range(4)
    ],
    categories=[dict(id=1, name='person')],
)


@fuzzed()
@given(changed(COCO))
def test_annotations(folder, content):
    path = folder / 'boxes.json'
    path.write_text(json.dumps(content))
    attempt(lambda: read_person_boxes(str(path)), path)
    attempt(lambda: read_person_keypoints(str(path)), path)
    attempt(
        lambda: PersonImages(str(folder), path.name).load_image(
            dict(img_path='0.jpg', box=(0, 0, 40, 80), size=None, sample_idx=0)
        ),
        path,
    )
    for reader in (BOXES, BOX_SCORES, POSE._replace(keypoints=dict(keypoints=1))):
        attempt(
            lambda reader=reader: list(check_coco(path, read_as_json(path), reader)),
            path,
        )


def read_as_json(path) -> object:
    return parse_json(read_plain_text(path), path)


DETECTIONS = [
    dict(image_id=i, category_id=1, bbox=[1, 2.5, 34, 70], score=0.5) for i in range(3)
]


@fuzzed()
@given(changed(DETECTIONS))
def test_detections(folder, content):
    path = folder / 'detections.json'
    path.write_text(json.dumps(content))
    images = {str(i): i for i in range(3)}
    attempt(lambda: check_detections(path, read_as_json(path), images), path)


@fuzzed()
@given(SEEDS)
def test_bytes_of_annotations(folder, seed):
    path = folder / 'bytes.json'
    path.write_bytes(spoil(json.dumps(COCO).encode(), seed))
    attempt(lambda: read_person_boxes(str(path)), path)
    attempt(lambda: list(check_coco(path, read_as_json(path), BOXES)), path)


CROWDHUMAN = dict(
    ID='a',
    gtboxes=[
        dict(tag='person', fbox=[1, 2, 30, 60], vbox=[1, 2, 30, 60], hbox=[1, 2, 9, 9])
    ],
)


@fuzzed()
@given(changed(CROWDHUMAN), SEEDS)
def test_crowdhuman(folder, content, seed):
    path = folder / 'a.odgt'
    for text in (
        json.dumps(content).encode(),
        spoil(json.dumps(CROWDHUMAN).encode(), seed),
    ):
        path.write_bytes(text)
        attempt(lambda: list(useless_boxes(path, read_crowdhuman(path))), path)


@fuzzed()
@given(SEEDS, st.lists(st.text(max_size=12), max_size=4))
def test_lists(folder, seed, names):
    path = folder / 'list.txt'
    listed = spoil(b'0.jpg\n1.jpg\n# \n2.jpg\n', seed)
    for text in (listed, '\n'.join(names).encode(errors='replace')):
        path.write_bytes(text)
        attempt(lambda: PersonImages(str(folder), str(path)), path)


@fuzzed()
@given(SEEDS)
def test_images(folder, seed):
    content = (folder / '0.jpg').read_bytes()
    path = folder / 'spoiled.jpg'
    path.write_bytes(spoil(content, seed))
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


ARCH = dict(embed_dims=12, num_layers=2, num_heads=2, feedforward_channels=12)
VIT = SAIPViT(arch=ARCH, img_size=(32, 32), middle_block=0)
WEIGHTS = {f'backbone.{name}': tensor for name, tensor in VIT.state_dict().items()}
META = dict(grid=[2, 2], num_heads=2, mean=[1.0, 2.0, 3.0], std=[1.0, 1.0, 1.0])


@fuzzed()
@given(changed(dict(meta=META, epoch=3)), st.sampled_from(sorted(WEIGHTS)), VALUES)
def test_metadata_of_checkpoints(folder, content, name, value):
    path = folder / 'a.pth'
    for state in (WEIGHTS, WEIGHTS | {name: value}):
        torch.save(content | dict(state_dict=state), path)
        attempt(lambda: saip_mm.load_backbone(path), path)
        attempt(lambda: load_pretrained(VIT, path), path)
        attempt(lambda: check_checkpoint(path), path)


@fuzzed()
@given(SEEDS, st.booleans())
def test_bytes_of_checkpoints(folder, seed, zipped):
    path = folder / 'b.pth'
    state = dict(state_dict=WEIGHTS, meta=META, optimizer={}, message_hub={})
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(spoil(path.read_bytes(), seed))
    attempt(lambda: saip_mm.load_backbone(path), path)
    attempt(lambda: check_checkpoint(path), path)


@pytest.fixture(scope='module')
def shards(folder, tmp_path_factory):
    pytest.importorskip('litdata')
    out = tmp_path_factory.mktemp('shards')
    names = folder / 'four.txt'
    names.write_text('0.jpg\n1.jpg\n2.jpg\n3.jpg\n')
    people = PersonImages(str(folder), str(names))
    pack_shards(people, out, 2, 1, lambda parts, total: parts)
    return out


def read_shards(shards) -> None:
    dataset = ShardedImages(str(shards))
    for index in range(min(len(dataset), 6)):
        try:
            dataset.load_image(dataset.get_data_info(index))
        except ImageError as error:
            assert str(shards) in str(error)


@fuzzed()
@given(st.data())
def test_indices_of_shards(shards, data):
    path = shards / 'index.json'
    whole = path.read_text()
    try:
        path.write_text(json.dumps(data.draw(changed(json.loads(whole)))))
        attempt(lambda: read_shards(shards), path)
    finally:
        path.write_text(whole)


@fuzzed()
@given(SEEDS, st.booleans())
def test_bytes_of_shards(shards, seed, same_size):
    path = shards / 'chunk-0-1.bin'
    whole = path.read_bytes()
    spoiled = spoil(whole, seed)
    if same_size:
        spoiled = spoiled[: len(whole)].ljust(len(whole), b'x')
    try:
        path.write_bytes(spoiled)
        read_shards(shards)
    finally:
        path.write_bytes(whole)
