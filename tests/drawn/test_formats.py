"""Parsing, re-identification and attribute data sets, compared with the drawings."""

import json
import re
from collections import Counter, defaultdict

import numpy as np
import pytest
from scipy.io import loadmat
from written_formats import (
    NUM,
    SEED,
    TRAIN,
    VAL,
    contents,
    is_nearly,
    read_image,
    root,
    write,
)

from saip_mm.drawn import ATTRIBUTES, WRITERS, draw_person, draw_scene
from saip_mm.drawn.attributes import PA100K_ATTRIBUTES


@pytest.mark.parametrize('name', WRITERS)
def test_settings_determine_every_byte(name, tmp_path):
    first = contents(write(name, tmp_path / 'a', 2, 5, (64, 48)))
    WRITERS[name](tmp_path / 'b', 2, 5, (64, 48)).write()
    assert first == contents(tmp_path / 'b')
    other = contents(write(name, tmp_path / 'c', 2, 6, (64, 48)))
    pictures = [key for key in first if key.endswith(('.jpg', '.png'))]
    changed = [key for key in pictures if first[key] != other.get(key)]
    assert len(changed) > 0.6 * len(pictures) > 0


def test_lip_contains_what_was_drawn():
    for split, seed in (('train', TRAIN), ('val', VAL)):
        names = (root('lip') / f'{split}_id.txt').read_text().split()
        beside = root('lip') / 'TrainVal_images' / f'{split}_id.txt'
        assert beside.read_text().split() == names
        for index, name in enumerate(names):
            portrait = draw_person(seed, index, 0, (256, 192), labeled=True)
            image = root('lip') / f'TrainVal_images/{split}_images/{name}.jpg'
            assert is_nearly(image, portrait.image)
            kind = f'TrainVal_parsing_annotations/{split}_segmentations'
            parts = read_image(root('lip') / kind / f'{name}.png')
            alone = np.where(portrait.instances == 1, portrait.parts, 0)
            np.testing.assert_array_equal(parts, alone)


def test_cihp_contains_what_was_drawn():
    folder = root('cihp') / 'Training'
    for index, name in enumerate((folder / 'train_id.txt').read_text().split()):
        scene = draw_scene(TRAIN, index, (320, 400), 5, 1, labeled=True)
        assert is_nearly(folder / 'Images' / f'{name}.jpg', scene.image)
        categories, humans, instances = (
            read_image(folder / f'{kind}_ids' / f'{name}.png')
            for kind in ('Category', 'Human', 'Instance')
        )
        same = scene.parts != 10  # jumpsuits
        np.testing.assert_array_equal(categories[same], scene.parts[same])
        assert (categories[~same] == 6).all()  # dresses
        np.testing.assert_array_equal(humans > 0, scene.instances > 0)
        pairs = set(zip(humans.flat, scene.instances.flat, strict=True))
        assert len(pairs) == humans.max() + 1 == len(np.unique(humans))
        table = np.loadtxt(folder / 'Instance_ids' / f'{name}.txt', int, ndmin=2)
        np.testing.assert_array_equal(table[:, 0], np.arange(1, len(table) + 1))
        assert instances.max() == len(table)
        for number, category, human in table:
            where = (categories == category) & (humans == human)
            np.testing.assert_array_equal(instances == number, where)


MARKET = re.compile(r'(-1|\d{4})_c([1-6])s([1-6])_(\d{6})_(\d{2})\.jpg')


def test_market1501_contains_who_was_drawn():
    folder, people, cameras = root('market1501'), defaultdict(set), Counter()
    for kind in ('bounding_box_train', 'bounding_box_test', 'query'):
        for path in (folder / kind).iterdir():
            person, camera, *_ = map(int, MARKET.fullmatch(path.name).groups())
            assert read_image(path).shape == (128, 64, 3)
            people[kind].add(person)
            if kind != 'bounding_box_train' and person > 0:
                cameras[kind, person, camera] += 1
    assert people['bounding_box_test'] == people['query'] | {0, -1}
    assert not people['bounding_box_train'] & people['bounding_box_test']
    # Two people, in query and gallery once by each camera.
    assert len(cameras) == 2 * 2 * 6 and set(cameras.values()) == {1}
    first = folder / 'bounding_box_train/0001_c1s1_000001_01.jpg'
    assert is_nearly(first, draw_person(TRAIN, 0, 0, (128, 64)).image)
    for path in (folder / 'bounding_box_test').glob('0000*'):
        frame, camera = int(path.name[10:16]), int(path.name[6])
        scene = draw_scene(TRAIN, frame // 25, (128, 64), 0)
        assert is_nearly(path, scene.image) and camera == scene.camera + 1
    query = folder / 'query/0003_c3s1_000301_00.jpg'
    assert is_nearly(query, draw_person(TRAIN, 2, 0, (128, 64)).image)


SAME_AS_OURS = {
    'Hat': 'hat',
    'Glasses': 'sunglasses',
    'LongSleeve': 'long sleeves',
    'Skirt&Dress': 'skirt or dress',
    'Shorts': 'shorts',
    'Backpack': 'backpack',
}
EXACTLY_ONE = (
    ('AgeOver60', 'Age18-60', 'AgeLess18'),
    ('Front', 'Side', 'Back'),
    ('ShortSleeve', 'LongSleeve'),
    ('Trousers', 'Shorts', 'Skirt&Dress'),
)


def test_pa100k_says_what_is_worn():
    data = loadmat(root('pa100k') / 'annotation.mat', squeeze_me=True)
    files = []
    for number, split in enumerate(('train', 'val', 'test')):
        labels = data[f'{split}_label']
        assert labels.shape == (NUM if split == 'train' else NUM // 4, 26)
        for i, name in enumerate(data[f'{split}_images_name']):
            files.append(name)
            portrait = draw_person(3 * SEED + number, i // 4, i % 4, labeled=True)
            assert is_nearly(root('pa100k') / 'data' / name, portrait.image)
            worn = dict(zip(ATTRIBUTES, portrait.people[0].attributes, strict=True))
            chosen = dict(zip(data['attributes'], labels[i], strict=True))
            for theirs, ours in SAME_AS_OURS.items():
                assert chosen[theirs] == worn[ours]
            bags = chosen['HandBag'] + chosen['ShoulderBag']
            assert bags == worn['shoulder or hand bag']
            for group in EXACTLY_ONE:
                assert sum(chosen[name] for name in group) == 1
            glasses = portrait.parts[portrait.instances == 1] == 4
            assert not chosen['Back'] or glasses.mean() < 0.02
    assert files == [f'{i + 1:06}.jpg' for i in range(len(files))]


SAID = {
    'Hat': r'\b(cap|beanie|woolen hat)\b',
    'Glasses': r'glasses\b',
    'HandBag': r'handbag|bag in the hand',
    'ShoulderBag': r'shoulder bag|bag across',
    'Backpack': r'backpack|rucksack',
    'ShortSleeve': r'(no|short) sleeves',
    'LongSleeve': r'long sleeves',
    'UpperStride': r'stripe',
    'UpperLogo': r'logo|print on',
    'UpperPlaid': r'check',
    'UpperSplice': r'lower half|below the chest',
    'Shorts': r'shorts|short pants',
    'Skirt&Dress': r'\b(skirt|dress)\b',
    'Front': r'the front',
    'Back': r'behind',
}
ALWAYS_SAID = ('UpperStride', 'UpperLogo', 'UpperPlaid', 'Shorts', 'Skirt&Dress')


@pytest.mark.parametrize('name', ['cuhk-pedes', 'icfg-pedes'])
def test_captions_say_what_is_worn(name, tmp_path):
    write(name, tmp_path, num=60, size=(32, 16))
    (path,) = tmp_path.glob('[!s]*.json')
    entries = json.loads(path.read_text())
    captions = [caption for entry in entries for caption in entry['captions']]
    assert len(set(captions)) > 0.95 * len(captions)
    per_split, said = Counter(), Counter()
    for entry in entries:
        number = per_split[entry['split']]
        per_split[entry['split']] += 1
        seed = 3 * SEED + ('train', 'val', 'test').index(entry['split'])
        person = draw_person(seed, *divmod(number, 4), (32, 16), labeled=True).people[0]
        assert (tmp_path / 'imgs' / entry['file_path']).is_file()
        for text in entry['captions']:
            for attribute, words in SAID.items():
                has = PA100K_ATTRIBUTES[attribute](person)
                mentioned = bool(re.search(words, text))
                said[attribute] += mentioned
                assert has or not mentioned, (text, attribute)
                assert mentioned or not has or attribute not in ALWAYS_SAID, text
    assert len(+said) > 10
    ids = {entry['id'] for entry in entries}
    assert len({(entry['split'], entry['id']) for entry in entries}) == len(ids)
    assert min(ids) == (1 if name == 'cuhk-pedes' else 0)
