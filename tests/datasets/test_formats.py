"""Written data sets, read by others' readers and held against what was drawn."""

import contextlib
import io
import json
import re
from collections import Counter, defaultdict

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image
from scipy.io import loadmat

from saip_mm.datasets.synthetic import ATTRIBUTES, label_person, label_scene
from saip_mm.datasets.synthetic.formats import WRITERS, crowdhuman

SEED, NUM = 3, 8
TRAIN, VAL = 3 * SEED, 3 * SEED + 1  # seeds of the splits


def write(name, out, num=NUM, seed=SEED, size=None):
    writer = WRITERS[name](out, num, seed, size)
    writer.begin()
    writer.finish([writer.write(shot) for shot in writer.shots()])
    return out


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Folder of a format, written once."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = write(name, tmp_path_factory.mktemp(name) / 'data')
        return made[name]

    return get


@pytest.fixture
def scope():
    """The default scope while a library's own classes work."""
    return DefaultScope.overwrite_default_scope


def read_image(path):
    return np.asarray(Image.open(path))


def is_nearly(path, image):
    """Whether a JPEG shows an image."""
    return np.abs(read_image(path).astype(int) - image).mean() < 4


def quietly(function, *arguments):
    with contextlib.redirect_stdout(io.StringIO()):
        return function(*arguments)


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


def test_coco_says_what_was_drawn(root):
    pycocotools = pytest.importorskip('pycocotools.coco', reason='no pycocotools')
    folder = root('coco')
    for split, seed in (('train', TRAIN), ('val', VAL)):
        path = folder / f'annotations/person_keypoints_{split}2017.json'
        coco = quietly(pycocotools.COCO, path)
        assert len(coco.imgs) == (NUM if split == 'train' else NUM // 4)
        for index, image in enumerate(coco.dataset['images']):
            scene = label_scene(seed, index, (256, 320), 6, 1)
            file = folder / f'{split}2017' / image['file_name']
            assert is_nearly(file, scene.image)
            annotations = coco.loadAnns(coco.getAnnIds(image['id']))
            seen = [i for i in range(len(scene.people)) if i + 1 in scene.instances]
            assert len(annotations) == len(seen)
            for annotation, i in zip(annotations, seen, strict=True):
                person, mask = scene.people[i], scene.instances == i + 1
                keypoints = np.reshape(annotation['keypoints'], (17, 3))
                np.testing.assert_allclose(keypoints, person.keypoints, atol=0.006)
                x, y, w, h = annotation['bbox']
                assert [x, y, x + w, y + h] == person.visible_box.tolist()
                polygons = coco.annToMask(annotation).astype(bool)
                assert mask[~polygons].sum() == 0
                assert annotation['area'] == polygons.sum() < 1.1 * mask.sum() + 9
                drawn = set(annotation) - {'id', 'image_id'}
                assert annotation['num_keypoints'] == (keypoints[:, 2] > 0).sum()
                assert drawn >= {'category_id', 'iscrowd', 'segmentation'}


def test_splits_share_no_numbers(root):
    ids = defaultdict(list)
    for split in ('train', 'val'):
        path = root('coco') / f'annotations/instances_{split}2017.json'
        content = json.loads(path.read_text())
        for key in ('images', 'annotations'):
            ids[key] += [entry['id'] for entry in content[key]]
    for numbers in ids.values():
        assert len(numbers) == len(set(numbers))


def pose_samples(dataset):
    """Perfect predictions for all entries of a data set of MMPose."""
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        keypoints = np.array(info['keypoints'], np.float32)
        # What has no label lies somewhere else for everybody: with all of it at (0, 0),
        # MMPose's suppression would take two people for one.
        keypoints[info['keypoints_visible'] == 0] = info['bbox'][0, :2]
        yield dict(
            id=info['id'],
            img_id=info['img_id'],
            category_id=1,
            pred_instances=dict(
                keypoints=keypoints,
                keypoint_scores=np.ones(keypoints.shape[:2], np.float32),
            ),
            gt_instances=dict(bbox_scores=np.ones(1)),
        )


STOCK_POSE = {
    'coco': 'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
    'td-hm_hrnet-w32_8xb64-210e_coco-256x192.py',
    'coco-wholebody': 'mmpose::wholebody_2d_keypoint/topdown_heatmap/coco-wholebody/'
    'td-hm_hrnet-w32_8xb64-210e_coco-wholebody-256x192.py',
}


@pytest.mark.parametrize('name', STOCK_POSE)
def test_mmpose_reads_and_scores_its_stock_data(name, root, scope, tmp_path):
    pytest.importorskip('mmpose', reason='MMPose is not installed')
    from mmpose.registry import DATASETS, METRICS
    from mmpose.utils import register_all_modules

    stock = tmp_path / 'stock.py'
    stock.write_text(f'_base_ = {STOCK_POSE[name]!r}')
    cfg = Config.fromfile(stock)
    with scope('mmpose'):
        register_all_modules(init_default_scope=False)
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            old = loader.dataset.data_root
            loader.dataset.data_root = str(root(name))
            if loader.dataset.get('bbox_file'):
                file = loader.dataset.bbox_file
                loader.dataset.bbox_file = file.replace(old, f'{root(name)}/')
            dataset = quietly(DATASETS.build, loader.dataset)
            assert len(dataset) >= NUM // 4
            assert dataset[0]['inputs'].shape == (3, 256, 192)
        loader.dataset.bbox_file = ''
        dataset = quietly(DATASETS.build, loader.dataset)
        ann_file = f'{root(name)}/{loader.dataset.ann_file}'
        metric = METRICS.build(dict(type=cfg.val_evaluator.type, ann_file=ann_file))
        metric.dataset_meta = dataset.metainfo
        metric.process({}, list(pose_samples(dataset)))
        scores = quietly(metric.evaluate, len(dataset))
    assert [v for k, v in scores.items() if k.endswith('/AP')] == [1.0]


def test_whole_body_follows_from_the_figure(root):
    path = root('coco-wholebody') / 'annotations/coco_wholebody_train_v1.0.json'
    annotations = iter(json.loads(path.read_text())['annotations'])
    parts = dict(foot=(17, 6), face=(23, 68), lefthand=(91, 21), righthand=(112, 21))
    found = Counter()
    for index in range(NUM):
        scene = label_scene(TRAIN, index, (384, 480), 6, 1)
        for i, person in enumerate(scene.people):
            if i + 1 not in scene.instances:
                continue
            annotation = next(annotations)
            whole = person.whole_body
            np.testing.assert_array_equal(whole[:17], person.keypoints)
            for part, (first, count) in parts.items():
                keypoints = np.reshape(annotation[f'{part}_kpts'], (count, 3))
                box = annotation.get(f'{part}_box', [0, 0, 0, 0])
                valid = annotation[f'{part}_valid']
                found[part, valid] += 1
                if not valid:
                    assert not keypoints.any() and not any(box)
                    continue
                truth = whole[first : first + count]
                np.testing.assert_allclose(keypoints, truth, atol=0.006)
                seen = keypoints[keypoints[:, 2] == 2]
                assert len(seen) >= 0.3 * count
                owners = scene.instances[tuple(seen[:, 1::-1].astype(int).T)]
                assert (owners == i + 1).all()
    assert next(annotations, None) is None
    assert all(found[part, True] >= 3 for part in parts)
    assert all(found[part, False] for part in ('face', 'lefthand', 'righthand'))


def test_details_lie_at_their_joints():
    """Heels are below ankles, hands begin at wrists, noses agree."""
    for number in range(20):
        person = label_person(4, number, 0).people[0]
        body, whole = person.keypoints, person.whole_body
        h = np.ptp(person.full_box[1::2])
        for first, second in ((15, 19), (16, 22), (9, 91), (10, 112), (0, 53)):
            if body[first, 2] and whole[second, 2]:
                assert np.linalg.norm((body[first] - whole[second])[:2]) < 0.05 * h
        face = whole[23:91]
        if (face[:, 2] > 0).all():
            left, top, right, bottom = person.head_box
            assert (face[:, 0] > left - 2).all() and (face[:, 0] < right + 2).all()
            assert (face[:, 1] > top - 2).all() and (
                face[:, 1] < bottom + 0.03 * h
            ).all()


@pytest.mark.parametrize('classes', [('person',), None])
def test_mmdet_reads_and_scores_coco(classes, root, scope):
    pytest.importorskip('mmdet', reason='MMDetection is not installed')
    pytest.importorskip('mmcv._ext', reason='mmcv has no compiled ops')
    from mmdet.datasets import CocoDataset
    from mmdet.evaluation import CocoMetric

    ann_file = 'annotations/instances_val2017.json'
    with scope('mmdet'):
        dataset = quietly(
            lambda: CocoDataset(
                data_root=str(root('coco')),
                ann_file=ann_file,
                data_prefix=dict(img='val2017/'),
                metainfo=dict(classes=classes) if classes else None,
                pipeline=[],
            )
        )
        metric = CocoMetric(ann_file=str(root('coco') / ann_file), metric='bbox')
        metric.dataset_meta = dataset.metainfo
        assert len(dataset.metainfo['classes']) == (1 if classes else 80)
        assert len(dataset.cat_ids) == len(dataset.metainfo['classes'])
        metric.process({}, list(map(detected, dataset)))
        scores = quietly(metric.evaluate, len(dataset))
    assert scores['coco/bbox_mAP'] == 1.0


def detected(info):
    """A perfect prediction for an entry of a data set of MMDetection."""
    kept = [e for e in info['instances'] if not e['ignore_flag']]
    return dict(
        img_id=info['img_id'],
        ori_shape=(info['height'], info['width']),
        pred_instances=dict(
            bboxes=torch.tensor([entry['bbox'] for entry in kept]),
            scores=torch.ones(len(kept)),
            labels=torch.tensor([entry['bbox_label'] for entry in kept]),
        ),
    )


def test_crowdhuman_says_what_was_drawn(root):
    lines = (root('crowdhuman') / 'annotation_train.odgt').read_text().splitlines()
    assert len(lines) == NUM
    heads = Counter()
    for index, record in enumerate(map(json.loads, lines)):
        scene = label_scene(TRAIN, index, (320, 480), 16, 2)
        file = root('crowdhuman') / 'Images' / f'{record["ID"]}.jpg'
        assert is_nearly(file, scene.image)
        boxes = [box for box in record['gtboxes'] if box['tag'] == 'person']
        assert len(record['gtboxes']) >= 2
        seen = [p for p in scene.people if p.visible_box.any()]
        for box, person in zip(boxes, seen, strict=True):
            for key in ('full', 'visible', 'head'):
                x, y, w, h = box[key[0] + 'box']
                truth = getattr(person, f'{key}_box')
                np.testing.assert_allclose([x, y, x + w, y + h], truth, atol=1)
            heads[box['head_attr']['ignore']] += 1
            if (person.keypoints[:3, 2] == 2).all():
                assert not box['head_attr']['ignore']
    assert heads[0] > heads[1] > 0


def test_crowdhuman_is_padded(tmp_path, monkeypatch):
    """Where only one is seen, there still are two boxes."""
    monkeypatch.setattr(crowdhuman, 'MIN_PEOPLE', 1)
    monkeypatch.setattr(crowdhuman, 'MAX_PEOPLE', 1)
    folder = write('crowdhuman', tmp_path / 'data', 4, 0, (48, 64))
    for line in (folder / 'annotation_train.odgt').read_text().splitlines():
        person, padding = json.loads(line)['gtboxes']
        assert person['tag'] == 'person' and padding['tag'] == 'mask'
        assert padding['extra']['ignore'] == padding['head_attr']['ignore'] == 1


def test_mmdet_reads_and_scores_crowdhuman(root, scope):
    pytest.importorskip('mmdet', reason='MMDetection is not installed')
    pytest.importorskip('mmcv._ext', reason='mmcv has no compiled ops')
    from mmdet.datasets import CrowdHumanDataset
    from mmdet.evaluation import CrowdHumanMetric

    folder = str(root('crowdhuman'))
    with scope('mmdet'):
        dataset = quietly(
            lambda: CrowdHumanDataset(
                folder,
                'annotation_val.odgt',
                data_prefix=dict(img='Images/'),
                pipeline=[],
            )
        )
        metric = CrowdHumanMetric(f'{folder}/annotation_val.odgt', ['AP', 'MR'])
        metric.process({}, list(map(detected, dataset)))
        scores = quietly(metric.evaluate, len(dataset))
    people = sum(len(i['pred_instances']['scores']) for i in map(detected, dataset))
    # The metric's area under the curve begins at the first match.
    assert scores['crowd_human/mAP'] == pytest.approx(1 - 1 / people, abs=1e-4)
    assert scores['crowd_human/mMR'] == pytest.approx(0, abs=1e-4)


def test_lip_says_what_was_drawn(root):
    folder = root('lip')
    for split, seed in (('train', TRAIN), ('val', VAL)):
        names = (folder / f'{split}_id.txt').read_text().split()
        beside = folder / 'TrainVal_images' / f'{split}_id.txt'
        assert beside.read_text().split() == names
        for index, name in enumerate(names):
            portrait = label_person(seed, index, 0, (256, 192))
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
        scene = label_scene(TRAIN, index, (320, 400), 5, 1)
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
    assert is_nearly(first, label_person(TRAIN, 0, 0, (128, 64)).image)
    query = root('market1501') / 'query/0003_c3s1_000301_00.jpg'
    assert is_nearly(query, label_person(TRAIN, 2, 0, (128, 64)).image)


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
    image = label_person(TRAIN, 2, 0).image  # one is trained on, one for validation
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
            portrait = label_person(3 * SEED + number, i // 4, i % 4)
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
    splits = json.loads((root('peta') / 'dataset_zs_run0.json').read_text())
    for run in range(5):
        runs = peta[3][run][0][0][0]
        for part, split in zip(runs, ('train', 'val', 'test'), strict=True):
            files = [f'{number:05}.png' for number in part[:, 0]]
            assert files == splits[split]
    worn = [dict(zip(names, row, strict=True)) for row in labels]
    for i, file in enumerate(splits['train']):
        portrait = label_person(TRAIN, i // 4, i % 4, (160, 80))
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
