"""Attributes: data sets, loss and metric."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmpretrain.registry import DATASETS, MODELS
from people_files import pa100k_content, write_pa100k, write_peta
from scipy.io import savemat
from sklearn.metrics import jaccard_score, precision_score, recall_score

from saip_mm.downstream.attributes import (
    PedestrianAttributeMetric,
    PositiveRatioHook,
    RatioWeightedBCELoss,
)


def build(name: str, root, split: str):
    return DATASETS.build(dict(type=name, data_root=str(root), split=split))


@pytest.mark.parametrize('folder', ['data', 'data/release_data/release_data'])
def test_pa100k(folder, tmp_path):
    content = write_pa100k(tmp_path, folder)
    if 'release_data' in folder:  # as unpacked
        (tmp_path / 'annotation').mkdir()
        (tmp_path / 'annotation.mat').rename(tmp_path / 'annotation/annotation.mat')
    for split, size in dict(train=8, val=4, trainval=12, test=4).items():
        assert len(build('PA100K', tmp_path, split)) == size
    dataset = build('PA100K', tmp_path, 'trainval')
    assert list(dataset.CLASSES) == [f'attribute{i}' for i in range(26)]
    entry = dataset.get_data_info(9)  # the second of val
    assert entry['img_path'].endswith(f'{folder}/000010.jpg')
    np.testing.assert_array_equal(entry['gt_score'], content['val_label'][1])


def test_peta_with_numbered_images(tmp_path):
    labels = write_peta(tmp_path)
    dataset = build('PETA', tmp_path, 'test')
    assert list(dataset.CLASSES) == [f'a{i}' for i in range(35)]
    assert len(dataset) == 4 and len(build('PETA', tmp_path, 'trainval')) == 12
    entry = dataset.get_data_info(2)
    assert entry['img_path'].endswith('images/00015.png')
    np.testing.assert_array_equal(entry['gt_score'], labels[14, :35])
    savemat(tmp_path / 'PETA.mat', dict(peta=np.ones((3, 3))))
    with pytest.raises(ValueError, match="'peta' does not contain a table"):
        build('PETA', tmp_path, 'test')


def spoil_pa100k(root, what: str) -> None:
    content = pa100k_content()
    if what == 'key':
        del content['test_label']
    elif what == 'label':
        content['test_label'][1, 2] = 2
    elif what == 'rows':
        content['test_label'] = content['test_label'][:3]
    savemat(root / 'annotation.mat', content)
    if what == 'damage':
        (root / 'annotation.mat').write_bytes(b'no such thing')
    elif what == 'folder':
        (root / 'data').rename(root / 'images')


@pytest.mark.parametrize(
    'what, message',
    [
        ('key', 'annotation.mat lacks test_label; it contains .*val_label.*Is it the'),
        ('label', 'test_label: 1 labels are neither 0 nor 1, such as 2 in row 2, attr'),
        ('rows', 'test has 4 names, but 3 rows of labels'),
        ('folder', '000013.jpg is in none of the folders data, release_data/'),
        ('damage', 'annotation.mat is damaged or not a MATLAB file'),
    ],
)
def test_invalid_pa100k(what, message, tmp_path):
    write_pa100k(tmp_path)
    spoil_pa100k(tmp_path, what)
    with pytest.raises((OSError, ValueError), match=message):
        build('PA100K', tmp_path, 'test')


@pytest.mark.parametrize(
    'line, message',
    [
        ('00001.png test', ":17: '00001.png test' is not a new image"),
        ('00017.png', 'is not a new image followed by train, val or'),
        ('00017.png test', 'is not one of 00001.png to 00016.png'),
        ('a.png test', 'is not one of 00001.png to 00016.png'),
        (None, 'zero_shot.txt: no such file; create it with lines'),
    ],
)
def test_invalid_splits_of_peta(line, message, tmp_path):
    """With an additional line, or without the file."""
    write_peta(tmp_path)
    path = tmp_path / 'zero_shot.txt'
    text = path.read_text()
    path.unlink()
    if line is not None:
        path.write_text(f'{text}{line}\n')
    with pytest.raises((OSError, ValueError), match=message):
        build('PETA', tmp_path, 'test')


def test_loss_against_plain_loops():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(6, 5)), rng.integers(0, 2, (6, 5))
    ratio = rng.random(5)
    total = 0
    for i in range(6):
        for j in range(5):
            p = 1 / (1 + math.exp(-logits[i, j]))
            if labels[i, j]:
                total -= math.exp(1 - ratio[j]) * math.log(p)
            else:
                total -= math.exp(ratio[j]) * math.log(1 - p)
    loss = RatioWeightedBCELoss(loss_weight=0.5)
    with pytest.raises(ValueError, match="type='PositiveRatioHook'"):
        loss(torch.zeros(2, 3), torch.zeros(2, 3))
    loss.positive_ratio = torch.tensor(ratio).float()
    found = loss(torch.tensor(logits), torch.tensor(labels))
    assert found.item() == pytest.approx(0.5 * total / 6, rel=1e-6)
    with pytest.raises(ValueError, match='set model.head.num_classes=5'):
        loss(torch.zeros(2, 3), torch.zeros(2, 3))


def hooked(loss: dict, dataset) -> torch.nn.Module:
    head = dict(type='MultiLabelLinearClsHead', num_classes=26, in_channels=4)
    model = torch.nn.Module()
    model.head = MODELS.build(dict(head, loss=loss))
    runner = SimpleNamespace(model=model)
    runner.train_dataloader = SimpleNamespace(dataset=dataset)
    PositiveRatioHook().before_train(runner)
    return model.head


def test_hook_counts_the_training_set(tmp_path):
    content = write_pa100k(tmp_path)
    dataset = build('PA100K', tmp_path, 'train')
    head = hooked(dict(type='RatioWeightedBCELoss'), dataset)
    expected = content['train_label'].mean(axis=0)
    np.testing.assert_allclose(head.loss_module.positive_ratio, expected)
    assert not any('ratio' in name for name in head.state_dict())
    with pytest.raises(TypeError, match='model.head.loss is CrossEntropyLoss'):
        hooked(dict(type='CrossEntropyLoss', use_sigmoid=True), dataset)


@pytest.mark.parametrize('seed', range(3))
def test_metric_agrees_with_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    scores, labels = rng.random((50, 12)), rng.integers(0, 2, (50, 12))
    labels[:, 0], labels[:, 1], labels[4] = 0, 1, 0  # some recalls are undefined
    scores[4] /= 2
    predicted = scores > 0.6
    metric = PedestrianAttributeMetric(threshold=0.6)
    for score, label in zip(scores, labels, strict=True):
        sample = dict(pred_score=torch.tensor(score), gt_score=torch.tensor(label))
        metric.process({}, [sample])
    found = metric.evaluate(50)
    by_image = dict(average='samples', zero_division=0)
    precision = precision_score(labels, predicted, **by_image)
    recall = recall_score(labels, predicted, **by_image)
    recalls = [
        recall_score(labels[:, a], predicted[:, a], pos_label=k, zero_division=0)
        for a in range(12)
        for k in (0, 1)
    ]
    expected = dict(
        mA=np.mean(recalls),
        accuracy=jaccard_score(labels, predicted, **by_image),
        precision=precision,
        recall=recall,
        F1=2 * precision * recall / (precision + recall),
    )
    expected = {f'attributes/{name}': value for name, value in expected.items()}
    assert found == pytest.approx(expected, abs=1e-9)
