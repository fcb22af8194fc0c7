"""Data sets of people with captions, as their authors lay them out."""

import json
import shutil
from collections import Counter

import pytest
from mmpretrain.registry import DATASETS
from written_formats import CAPTIONED, write

import saip_mm.downstream.text_retrieval  # noqa: F401  (registers the data sets)
from saip_mm.training.loaders import build_checked_loader

pytest.importorskip('open_clip')


def read(name: str, folder, split: str) -> list[dict]:
    dataset = DATASETS.build(dict(type=name, data_root=str(folder), split=split))
    return [dataset.get_data_info(i) for i in range(len(dataset))]


@pytest.mark.parametrize('name', CAPTIONED)
def test_data_sets_are_read_as_written(name, tmp_path):
    (path,) = CAPTIONED[name](tmp_path).glob('[!s]*.json')
    if name != 'RSTPReid':  # the other name of the file
        other = dict(CUHKPEDES='caption_all.json', ICFGPEDES='ICFG_PEDES.json')[name]
        path = path.rename(path.with_name(other))
    written = json.loads(path.read_text())
    for split in {entry['split'] for entry in written}:
        expected = [entry for entry in written if entry['split'] == split]
        found = read(name, tmp_path, split)
        key = 'img_path' if name == 'RSTPReid' else 'file_path'
        pairs = [
            (str(tmp_path / 'imgs' / entry[key]), caption)
            for entry in expected
            for caption in entry['captions']
        ]
        assert pairs == [(e['img_path'], c) for e in found for c in e['captions']]
        assert (split == 'train') == (len(found) == len(pairs)) or name == 'ICFGPEDES'
        people = Counter(entry['id'] for entry in expected)
        assert {e['gt_label'] for e in found} == set(range(len(people)))
    with pytest.raises(ValueError, match="split='validation' is not one of"):
        read(name, tmp_path, 'validation')


def spoil(folder, what: str) -> None:
    path = folder / 'reid_raw.json'
    entries = json.loads(path.read_text())
    if what == 'images':
        shutil.rmtree(folder / 'imgs' / 'cam_a')
        (folder / 'imgs' / entries[1]['file_path']).unlink()
    elif what == 'annotations':
        path.rename(folder / 'captions.json')
    elif what in ('split', 'id', 'file_path'):
        entries[2] |= {what: 5}
        entries[2].pop(*(['id'] if what == 'id' else ['none', None]))
    elif what in ('null', 'nan'):
        entries[2]['id'] = dict(null=None, nan=float('nan'))[what]
    elif what == 'no captions':
        entries[2]['captions'] = []
    elif what == 'empty':
        entries[2]['captions'][1] = ' '
    elif what == 'text':
        entries[2]['captions'] = 'A man.'
    elif what == 'number':
        entries[2]['captions'][0] = 7
    elif what == 'test':
        entries = [entry for entry in entries if entry['split'] != 'test']
    if what != 'annotations':
        text = json.dumps(entries)
        text = text[:-9] if what == 'half' else text
        path.write_text(f'{text}\n{text}' if what == 'lines' else text)


@pytest.mark.parametrize(
    'what, message',
    [
        ('images', r'of 12 images are missing: . of . in imgs/cam_a, 1 of .* in imgs'),
        ('annotations', 'reid_raw.json not found; it contains captions.json, imgs'),
        ('half', 'reid_raw.json: not JSON .*get a new copy'),
        ('lines', 'reid_raw.json: not JSON .*one JSON object per line, convert it'),
        ('id', 'entry 2: has no id; use the original reid_raw.json'),
        ('null', 'entry 2: id is None; give the number of the person'),
        ('nan', 'entry 2: id is nan'),
        ('split', 'entry 2: file_path is .* and split 5; give an image below imgs'),
        ('file_path', 'entry 2: file_path is 5 and split'),
        ('no captions', 'entry 2: .*jpg has no captions; add one, or remove'),
        ('empty', "entry 2: caption ' ' of .*jpg is no sentence; correct it"),
        ('text', 'entry 2: the captions of .* are a string; put it in a list'),
        ('number', 'entry 2: caption 7 of .*jpg is no sentence'),
        ('test', "no entry has the split 'test'"),
    ],
)
def test_invalid_data_sets(what, message, tmp_path):
    write('cuhk-pedes', tmp_path)
    spoil(tmp_path, what)
    with pytest.raises((OSError, ValueError), match=message):
        read('CUHKPEDES', tmp_path, 'test')


def test_entries_of_one_image_are_merged(tmp_path):
    path = write('cuhk-pedes', tmp_path) / 'reid_raw.json'
    expected = {
        split: read('CUHKPEDES', tmp_path, split) for split in ('train', 'test')
    }
    entries = [
        dict(entry, captions=[caption], file_path=f'./{entry["file_path"]}')
        for entry in json.loads(path.read_text())
        for caption in entry['captions']
    ]
    path.write_text(json.dumps(entries))
    for split, found in expected.items():
        merged = read('CUHKPEDES', tmp_path, split)
        assert [e['captions'] for e in merged] == [e['captions'] for e in found]
        assert [e['gt_label'] for e in merged] == [e['gt_label'] for e in found]
    entries[1]['id'] = 'another'
    path.write_text(json.dumps(entries))
    with pytest.raises(ValueError, match='has the ids .* and another; correct one'):
        read('CUHKPEDES', tmp_path, 'test')


def test_images_in_two_splits_are_said(tmp_path, logged):
    path = write('cuhk-pedes', tmp_path) / 'reid_raw.json'
    entries = json.loads(path.read_text())
    first = next(entry for entry in entries if entry['split'] == 'train')
    path.write_text(json.dumps([*entries, first | dict(split='test')]))
    texts = logged('downstream.text_retrieval.datasets')
    read('CUHKPEDES', tmp_path, 'test')
    name = first['file_path']
    assert f'1 images of test are in other splits as well, such as {name}' in texts[0]


def test_long_captions_are_counted(tmp_path, logged):
    path = write('cuhk-pedes', tmp_path) / 'reid_raw.json'
    entries = json.loads(path.read_text())
    entries[3]['captions'][1] = 'very ' * 500
    path.write_text(json.dumps(entries))
    texts = logged('downstream.text_retrieval.datasets')
    read('CUHKPEDES', tmp_path, 'train')
    assert '8 images of 2 people in train, 16 captions of up to 500 words' in texts[0]
    assert '(at least 1 are too long' in texts[0]
    assert '12 images in all, 40206 in the complete data set' in texts[0]


def test_fewer_samples_than_a_batch(tmp_path):
    write('cuhk-pedes', tmp_path)
    data = dict(type='CUHKPEDES', data_root=str(tmp_path), split='train')
    loader = dict(dataset=data, batch_size=64, num_workers=0, drop_last=True)
    loader |= dict(sampler=dict(type='DefaultSampler', shuffle=True))
    with pytest.raises(ValueError, match='16 samples of .* do not fill a batch of 64'):
        build_checked_loader(loader)
