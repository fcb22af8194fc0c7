"""Re-identification: data sets and losses."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from mmpretrain.registry import DATASETS, MODELS
from mmpretrain.structures import DataSample
from people_files import SIZE, save_person, write_market1501, write_msmt17

from saip_mm.downstream.reid import BatchHardTripletLoss, ReIDHead


def build(name: str, root, split: str):
    return DATASETS.build(dict(type=name, data_root=str(root), split=split))


def entries(dataset) -> list[dict]:
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def test_market1501(tmp_path):
    write_market1501(tmp_path)
    train = entries(build('Market1501', tmp_path, 'train'))
    assert [e['gt_label'] for e in train] == [i for i in range(4) for _ in range(4)]
    assert train[6]['pid'] == 2 and train[6]['camid'] == 2
    test = entries(build('Market1501', tmp_path, 'test'))
    assert [e['is_query'] for e in test] == [True] * 4 + [False] * 17
    assert Counter(e['pid'] for e in test if not e['is_query'])[0] == 1
    assert not any(e['pid'] == -1 for e in test)


@pytest.mark.parametrize('cameras', [True, False])
def test_csv_file(cameras, tmp_path):
    """The images of a folder in Market-1501's layout, listed in a file."""
    write_market1501(tmp_path)
    market = [build('Market1501', tmp_path, split) for split in ('train', 'test')]
    lines = ['path,split,identity,camera' if cameras else 'path,split,identity']
    for entry in [e for dataset in market for e in entries(dataset) if e['pid'] > 0]:
        split = 'train' if 'gt_label' in entry else 'gallery'
        split = 'query' if entry.get('is_query') else split
        path = entry['img_path'].removeprefix(f'{tmp_path}/')
        values = [path, split, f'person {entry["pid"]}', f'cam {entry["camid"]}']
        lines.append(','.join(values if cameras else values[:3]))
    encoding = 'utf-8-sig' if cameras else 'utf-8'  # of spreadsheets, and of others
    (tmp_path / 'labels.csv').write_text('\n'.join(lines), encoding)
    train, test = (build('ReIDCSV', tmp_path, split) for split in ('train', 'test'))
    assert [e['gt_label'] for e in entries(train)] == [
        i for i in range(4) for _ in '1234'
    ]
    expected = [e for e in entries(market[1]) if e['pid'] > 0]
    found = entries(test)
    for name in ('img_path', 'is_query'):
        assert [e[name] for e in found] == [e[name] for e in expected]
    for name, wanted in dict(
        pid='pid', camid='camid' if cameras else 'is_query'
    ).items():
        pairs = {(e[name], f[wanted]) for e, f in zip(found, expected, strict=True)}
        assert (
            len(pairs) == len({e for e, _ in pairs}) == len({f for _, f in pairs}) > 1
        )
    (tmp_path / 'labels.csv').write_text('path,split,identity\n1.jpg,test,a')
    with pytest.raises(FileNotFoundError, match=r'1\.jpg'):
        build('ReIDCSV', tmp_path, 'test')
    (tmp_path / '1.jpg').touch()
    with pytest.raises(ValueError, match="line 2: split is 'test': write train, query"):
        build('ReIDCSV', tmp_path, 'test')
    (tmp_path / 'labels.csv').write_text('path,split,identity\n1.jpg,query, ')
    with pytest.raises(ValueError, match='line 2: identity is empty'):
        build('ReIDCSV', tmp_path, 'test')
    rows = '1.jpg,query,a\n./1.jpg,gallery,a'
    (tmp_path / 'labels.csv').write_text(f'path,split,identity\n{rows}')
    with pytest.raises(ValueError, match='1 queries, such as 1.jpg, are in the gall'):
        build('ReIDCSV', tmp_path, 'test')
    (tmp_path / 'labels.csv').write_text('path,split,identity,split\n1.jpg,query,a,b')
    with pytest.raises(ValueError, match='more than one column split'):
        build('ReIDCSV', tmp_path, 'test')
    lines = ['path,split,identity,camera', '1.jpg,train,b,', '1.jpg,query,a,1']
    (tmp_path / 'labels.csv').write_text('\n'.join([*lines, '1.jpg,gallery,a ,2']))
    assert len({e['pid'] for e in entries(build('ReIDCSV', tmp_path, 'test'))}) == 1
    (tmp_path / 'labels.csv').write_text('\n'.join([*lines, '1.jpg,gallery,a,']))
    with pytest.raises(ValueError, match='line 4: camera is empty'):
        build('ReIDCSV', tmp_path, 'test')


FIRST, SECOND = ('train', 'test'), ('mask_train_v2', 'mask_test_v2')


@pytest.mark.parametrize(
    'folders, encoding', [(FIRST, 'utf-8'), (SECOND, 'utf-8-sig'), (SECOND, 'utf-16')]
)
def test_msmt17(folders, encoding, tmp_path):
    write_msmt17(tmp_path, folders=folders)
    for path in tmp_path.glob('list_*.txt'):
        path.write_bytes(path.read_text().encode(encoding))
    train = entries(build('MSMT17', tmp_path, 'train'))
    assert sorted({e['gt_label'] for e in train}) == [0, 1, 2, 3]  # including val
    assert train[0]['img_path'].startswith(f'{tmp_path}/{folders[0]}/0000/')
    test = entries(build('MSMT17', tmp_path, 'test'))
    assert sum(e['is_query'] for e in test) == 4
    assert sorted({e['pid'] for e in test}) == [1, 2, 3, 4]  # 0 to 3 in the lists
    assert [e['camid'] for e in test[:4]] == [1] * 4


def spoil(root, what: str) -> None:
    if what == 'layout':
        for name in ('query', 'list_query.txt'):
            if (root / name).exists():
                (root / name).rename(root / 'queries')
    elif what == 'name':
        save_person(root / 'query' / 'someone.jpg', 0, 0)
    elif what == 'matches':
        for path in (root / 'query').glob('*.jpg'):
            path.rename(path.with_name('9' + path.name[1:]))
    elif what == 'line':
        with open(root / 'list_query.txt', 'a') as file:
            file.write('0000/0000.jpg 3\n')


@pytest.mark.parametrize(
    'name, what, message',
    [
        ('Market1501', 'layout', 'query not found; it contains .*queries. Set data_ro'),
        ('Market1501', 'name', 'someone.jpg: the name does not contain .*=ReIDCSV'),
        ('Market1501', 'matches', 'none of 4 queries has an image of .*=ReIDCSV'),
        ('MSMT17', 'layout', 'list_query.txt not found; it contains list_gal.*Set dat'),
        ('MSMT17', 'line', 'list_query.txt:5: .* does not contain image, camera and'),
    ],
)
def test_invalid_data_sets(name, what, message, tmp_path):
    dict(Market1501=write_market1501, MSMT17=write_msmt17)[name](tmp_path)
    spoil(tmp_path, what)
    with pytest.raises((OSError, ValueError), match=message):
        build(name, tmp_path, 'test')


@pytest.mark.parametrize('margin', [None, 0.3])
def test_triplet_loss_against_plain_loops(margin):
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(12, 5)), [0, 1, 2, 0, 1, 2, 0, 1, 2, 3, 3, 3]
    total = 0
    for i, a in enumerate(features):
        distances = [math.dist(a, b) for b in features]
        farthest = max(
            d for j, d in enumerate(distances) if labels[j] == labels[i] and j != i
        )
        nearest = min(d for j, d in enumerate(distances) if labels[j] != labels[i])
        gap = farthest - nearest
        total += math.log1p(math.exp(gap)) if margin is None else max(0, gap + margin)
    loss = BatchHardTripletLoss(margin, loss_weight=2.0)
    found = loss(torch.tensor(features), torch.tensor(labels))
    assert found.item() == pytest.approx(2 * total / 12, abs=1e-5)


def test_gradient_of_identical_features_is_finite():
    features = torch.ones(4, 3, requires_grad=True)
    BatchHardTripletLoss()(features, torch.tensor([0, 0, 1, 1])).backward()
    assert features.grad.isfinite().all()


def samples(labels) -> list[DataSample]:
    return [DataSample().set_gt_label(label) for label in labels]


def test_head_against_plain_loops():
    torch.manual_seed(0)
    head = ReIDHead(5, 6, loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1))
    torch.nn.init.normal_(head.fc.weight)
    features, labels = torch.randn(8, 6), [0, 0, 1, 1, 2, 2, 4, 4]
    losses = head.loss((features,), samples(labels))
    x = features.double().numpy()
    x = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
    logits = x @ head.fc.weight.detach().double().numpy().T
    total = 0
    for row, label in zip(logits, labels, strict=True):
        log_sum = math.log(sum(math.exp(v) for v in row))
        for k, v in enumerate(row):
            total -= (0.9 * (k == label) + 0.1 / 5) * (v - log_sum)
    assert losses['loss_id'].item() == pytest.approx(total / 8, abs=1e-5)
    triplet = BatchHardTripletLoss()(features, torch.tensor(labels))
    assert losses['loss_triplet'].item() == pytest.approx(triplet.item())
    losses['loss_id'].backward()
    assert head.norm.bias.grad is None and head.norm.weight.grad is not None
    head.eval()
    (first, *_) = head.predict((features,))
    torch.testing.assert_close(first.feature, head.norm(features)[0])


@pytest.mark.parametrize(
    'shape, labels, message',
    [
        ((4, 6), [0, 0, 4, 4], 'at least 5 identities.*num_classes=3'),
        ((4, 6, 8, 4), [0, 0, 1, 1], "out_type='cls_token'"),
        ((3, 6), [0, 0, 1], 'PKSampler'),
    ],
)
def test_invalid_batches(shape, labels, message):
    with pytest.raises(ValueError, match=message):
        ReIDHead(3, 6).loss((torch.randn(shape),), samples(labels))


def test_a_backbone_without_class_token_is_pooled():
    model = dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet', depth=18),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='ReIDHead', num_classes=3, in_channels=512),
    )
    (sample,) = MODELS.build(model).eval()(torch.rand(1, 3, *SIZE), mode='predict')
    assert sample.feature.shape == (512,)
