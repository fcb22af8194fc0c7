"""Parsing, re-identification and attribute data sets, held against what was drawn."""

import re
from collections import Counter, defaultdict

import numpy as np
import pytest
from scipy.io import loadmat
from written_formats import NUM, SEED, TRAIN, VAL, is_nearly, quietly, read_image, write

from saip_mm.drawn import ATTRIBUTES, WRITERS, draw_person, draw_scene


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


@pytest.mark.parametrize('name', WRITERS)
def test_files_follow_from_the_settings(name, tmp_path):
    size = (64, 48)
    first = contents(write(name, tmp_path / 'a', 2, 5, size))
    assert first == contents(write(name, tmp_path / 'b', 2, 5, size))
    other = contents(write(name, tmp_path / 'c', 2, 6, size))
    pictures = [key for key in first if key.endswith(('.jpg', '.png'))]
    assert pictures
    changed = [key for key in pictures if first[key] != other.get(key)]
    assert len(changed) > 0.6 * len(pictures)


def test_lip_says_what_was_drawn(root):
    folder = root('lip')
    for split, seed in (('train', TRAIN), ('val', VAL)):
        names = (folder / f'{split}_id.txt').read_text().split()
        beside = folder / 'TrainVal_images' / f'{split}_id.txt'
        assert beside.read_text().split() == names
        for index, name in enumerate(names):
            portrait = draw_person(seed, index, 0, (256, 192), labeled=True)
            file = folder / f'TrainVal_images/{split}_images/{name}.jpg'
            assert is_nearly(file, portrait.image)
            kind = f'TrainVal_parsing_annotations/{split}_segmentations'
            parts = read_image(folder / kind / f'{name}.png')
            alone = np.where(portrait.instances == 1, portrait.parts, 0)
            np.testing.assert_array_equal(parts, alone)


def test_mmseg_reads_and_scores_lip(root, scope):
    pytest.importorskip('mmseg', reason='MMSegmentation is not installed')
    from mmseg.datasets import LIPDataset
    from mmseg.datasets.transforms import LoadAnnotations, PackSegInputs
    from mmseg.evaluation import IoUMetric

    with scope('mmseg'):
        dataset = LIPDataset(
            data_root=str(root('lip')),
            data_prefix=dict(
                img_path='TrainVal_images/val_images',
                seg_map_path='TrainVal_parsing_annotations/val_segmentations',
            ),
            pipeline=[],
        )
        metric = IoUMetric()
        metric.dataset_meta = dataset.metainfo
        load, pack = LoadAnnotations(imdecode_backend='pillow'), PackSegInputs()
        for info in dataset:
            info['img'] = read_image(info['img_path'])
            sample = pack(load(info))['data_samples'].to_dict()
            sample['pred_sem_seg'] = sample['gt_sem_seg']
            metric.process({}, [sample])
        scores = quietly(metric.evaluate, len(dataset))
    assert scores['mIoU'] == scores['aAcc'] == 100


def test_cihp_says_what_was_drawn(root):
    folder = root('cihp') / 'Training'
    names = (folder / 'train_id.txt').read_text().split()
    for index, name in enumerate(names):
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
        text = (folder / 'Instance_ids' / f'{name}.txt').read_text()
        table = np.array([line.split() for line in text.splitlines()], int)
        np.testing.assert_array_equal(table[:, 0], np.arange(1, len(table) + 1))
        assert instances.max() == len(table)
        for number, category, human in table:
            where = instances == number
            np.testing.assert_array_equal(
                where, (categories == category) & (humans == human)
            )


MARKET = re.compile(r'(-1|\d{4})_c([1-6])s([1-6])_(\d{6})_(\d{2})\.jpg')


def test_market1501_says_who_is_seen(root):
    people, cameras = defaultdict(set), defaultdict(Counter)
    for kind in ('bounding_box_train', 'bounding_box_test', 'query'):
        for path in (root('market1501') / kind).iterdir():
            person, camera, *_ = MARKET.fullmatch(path.name).groups()
            assert read_image(path).shape == (128, 64, 3)
            people[kind].add(int(person))
            if int(person) > 0:
                cameras[kind][int(person), int(camera)] += 1
    assert people['bounding_box_test'] - people['query'] == {0, -1}
    assert people['query'] <= people['bounding_box_test']
    assert not people['bounding_box_train'] & people['bounding_box_test']
    assert len(people['query']) == 2
    for kind in ('bounding_box_test', 'query'):
        assert set(cameras[kind].values()) == {1}
        assert len(cameras[kind]) == 12
    first = root('market1501') / 'bounding_box_train/0001_c1s1_000001_01.jpg'
    assert is_nearly(first, draw_person(TRAIN, 0, 0, (128, 64), labeled=True).image)
    for path in (root('market1501') / 'bounding_box_test').glob('0000*'):
        frame, camera = int(path.name[10:16]), int(path.name[6])
        scene = draw_scene(TRAIN, frame // 25, (128, 64), 0, labeled=True)
        assert is_nearly(path, scene.image) and camera == scene.camera + 1
    query = root('market1501') / 'query/0003_c3s1_000301_00.jpg'
    assert is_nearly(query, draw_person(TRAIN, 2, 0, (128, 64), labeled=True).image)


def test_msmt17_lists_who_is_seen(root):
    folder = root('msmt17') / 'MSMT17_V1'
    lists = {}
    for part in ('train', 'val', 'query', 'gallery'):
        lines = (folder / f'list_{part}.txt').read_text().splitlines()
        entries = [line.split(' ') for line in lines]
        below = folder / ('train' if part in ('train', 'val') else 'test')
        for path, person in entries:
            assert (below / path).is_file()
            assert re.fullmatch(rf'{int(person):04}/{int(person):04}_.*\.jpg', path)
            assert 1 <= int(path.split('_')[2]) <= 6
        lists[part] = entries
    people = {part: {p for _, p in entries} for part, entries in lists.items()}
    assert len(lists['train']) == NUM
    assert not people['train'] & people['val']
    assert people['query'] == people['gallery'] == {'0', '1'}
    image = draw_person(TRAIN, 2, 0).image  # after one for training, one for validation
    path, _ = lists['query'][0]
    assert is_nearly(folder / 'test' / path, image)


def test_pa100k_says_what_is_worn(root):
    data = loadmat(root('pa100k') / 'annotation.mat')
    names = [data['attributes'][i][0][0] for i in range(26)]
    ours = {name: i for i, name in enumerate(ATTRIBUTES)}
    same = {
        'Hat': 'hat',
        'Glasses': 'sunglasses',
        'LongSleeve': 'long sleeves',
        'Skirt&Dress': 'skirt or dress',
        'Shorts': 'shorts',
        'Backpack': 'backpack',
    }
    files = []
    for number, split in enumerate(('train', 'val', 'test')):
        labels = data[f'{split}_label']
        count = NUM if split == 'train' else NUM // 4
        assert labels.shape == (count, 26)
        for i in range(count):
            files.append(data[f'{split}_images_name'][i][0][0])
            portrait = draw_person(3 * SEED + number, i // 4, i % 4, labeled=True)
            person = portrait.people[0]
            assert is_nearly(root('pa100k') / 'data' / files[-1], portrait.image)
            chosen = dict(zip(names, labels[i], strict=True))
            for name, own in same.items():
                assert chosen[name] == person.attributes[ours[own]]
            bags = chosen['HandBag'] + chosen['ShoulderBag']
            assert bags == person.attributes[ours['shoulder or hand bag']]
            for group in (
                ('AgeOver60', 'Age18-60', 'AgeLess18'),
                ('Front', 'Side', 'Back'),
                ('ShortSleeve', 'LongSleeve'),
                ('Trousers', 'Shorts', 'Skirt&Dress'),
            ):
                assert sum(chosen[name] for name in group) == 1
            if chosen['Back']:
                face = portrait.parts[portrait.instances == 1] == 4
                assert face.mean() < 0.02  # hardly any glasses
    assert files == [f'{i + 1:06}.jpg' for i in range(len(files))]


def test_peta_says_what_is_worn(root):
    peta = loadmat(root('peta') / 'PETA.mat')['peta'][0][0]
    names = [peta[1][i, 0][0] for i in range(105)]
    labels = peta[0][:, 4:]
    assert labels.shape == (NUM + 2 * (NUM // 4), 105)
    # The order: https://github.com/valencebond/Rethinking_of_PAR, annotation.md
    assert [names[i] for i in (10, 16, 34, 35, 80, 87, 98)] == [
        'accessoryHat',
        'personalMale',
        'upperBodyVNeck',
        'upperBodyBlack',
        'personalLess15',
        'personalFemale',
        'hairShort',
    ]
    splits = dict(train=[], val=[], test=[])
    for line in (root('peta') / 'zero_shot.txt').read_text().splitlines():
        file, split = line.split()
        splits[split].append(file)
    for run in range(5):
        runs = peta[3][run][0][0][0]
        for part, split in zip(runs, ('train', 'val', 'test'), strict=True):
            files = [f'{number:05}.png' for number in part[:, 0]]
            assert files == splits[split]
    worn = [dict(zip(names, row, strict=True)) for row in labels]
    for i, file in enumerate(splits['train']):
        portrait = draw_person(TRAIN, i // 4, i % 4, (160, 80), labeled=True)
        written = read_image(root('peta') / 'images' / file)
        np.testing.assert_array_equal(written, portrait.image)
        hat, glasses, long, scarf, sleeves = portrait.people[0].attributes[:5]
        found = [worn[i][name] for name in ('accessoryHat', 'accessorySunglasses')]
        found += [worn[i]['hairLong'], worn[i]['accessoryMuffler']]
        assert found == [hat, glasses, long, scarf]
        assert worn[i]['upperBodyLongSleeve'] == sleeves
        assert worn[i]['accessoryNothing'] == (not (hat or glasses or scarf))
    people = [set(peta[0][peta[0][:, 3] == k, 1]) for k in (1, 2, 3)]
    assert not people[0] & people[1] and not people[1] & people[2]


def test_too_many_people_for_their_numbers(tmp_path):
    with pytest.raises(ValueError, match='give at most 14390'):
        WRITERS['market1501'](tmp_path, 20000, 0)
    WRITERS['market1501'](tmp_path, 14390, 0)
