"""Linear readouts, on features of which the answer is known."""

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from saip_mm.evaluation import readout
from saip_mm.evaluation.readout import (
    attribute_accuracy,
    fit_discriminant,
    fit_ridge,
    keypoint_pck,
    part_iou,
)

GRID, SIZE = (8, 4), (64, 32)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_attribute_accuracy_is_the_mean_of_both_rates(monkeypatch):
    """The scores are the features themselves: thresholds and rates by hand."""
    monkeypatch.setattr(readout, 'fit_ridge', lambda design, targets: lambda x: x)
    train = torch.tensor([[0.0], [1.0], [4.0]])
    train_labels = torch.tensor([[False], [False], [True]])  # threshold 2.25
    test = torch.tensor([[2.0], [2.5], [2.5], [3.0], [1.0]])
    test_labels = torch.tensor([[False], [False], [True], [True], [True]])
    expected = (2 / 3 + 1 / 2) / 2
    accuracy = attribute_accuracy(train, train_labels, test, test_labels)
    assert accuracy == pytest.approx(expected)


def test_parts_against_a_loop_over_labels(monkeypatch):
    """Scores are the features: what remains is enlarging, choosing and counting."""
    monkeypatch.setattr(readout, 'fit_discriminant', lambda *_: lambda x: x[:, :5])
    parts = torch.randint(0, 5, (40, *SIZE), generator=rng(), dtype=torch.uint8)
    parts[parts == 3] = 0  # a label that no test image has
    parts[:, :5] = 255  # unlabeled
    train_parts = torch.full((1, *SIZE), 4, dtype=torch.uint8)
    scores = torch.randn(40, 5, *GRID, generator=rng(1))
    value = part_iou(scores[:1], train_parts, scores, parts)
    large = torch.nn.functional.interpolate(scores, SIZE, mode='bilinear')
    predicted = large.argmax(1).numpy()
    true = parts.numpy()
    ious = [
        np.sum((predicted == k) & (true == k))
        / np.sum(((predicted == k) | (true == k)) & (true != 255))
        for k in (0, 1, 2, 4)
    ]
    assert value == pytest.approx(np.mean(ious), abs=1e-6)


def keypoints(count):
    places = torch.rand(count, 5, 2, generator=rng()) * torch.tensor([32.0, 64.0])
    return torch.cat([places, torch.ones(count, 5, 1)], dim=2)


def test_keypoints_are_found_in_features_that_show_them():
    """Features: how far each patch is from each keypoint, mixed."""
    labels = keypoints(60)
    rows, columns = torch.meshgrid(*map(torch.arange, GRID), indexing='ij')
    centers = torch.stack([columns * 8 + 4, rows * 8 + 4], dim=-1)  # x, y
    offset = centers - labels[:, :, None, None, :2]
    near = torch.exp(-offset.square().sum(-1) / 100)
    maps = torch.einsum('ij,njhw->nihw', torch.randn(5, 5, generator=rng(1)), near)
    boxes = torch.tensor([[0.0, 0.0, 32.0, 64.0]]).expand(20, 4)
    halves = maps[:40], labels[:40], maps[40:], labels[40:]
    assert keypoint_pck(*halves, boxes, SIZE) > 0.95
    assert keypoint_pck(*halves, boxes * 0.1, SIZE) < 0.5
    hidden = labels[40:].clone()
    hidden[:, 1:, :2] = 999  # wrong, but not labeled
    hidden[:, 1:, 2] = 0
    assert keypoint_pck(*halves[:3], hidden, boxes, SIZE) > 0.8
    with pytest.raises(ValueError, match='no keypoint of the test images is labeled'):
        keypoint_pck(*halves[:3], 0 * hidden, boxes, SIZE)


def test_features_without_an_image_tell_the_usual_place():
    """Of half of the keypoints, and of parts whose rows are always the same."""
    labels = keypoints(60)
    labels[:, :3, :2] = torch.tensor([12.0, 20.0])
    nothing = torch.zeros(60, 2, *GRID)
    boxes = torch.tensor([[0.0, 0.0, 32.0, 64.0]]).expand(20, 4)
    score = keypoint_pck(
        nothing[:40], labels[:40], nothing[40:], labels[40:], boxes, SIZE
    )
    places = labels[:40, :, :2].mean(0)  # of the last two, worth little
    near = (labels[40:, :, :2] - places).norm(dim=-1) <= 6.4
    assert score == pytest.approx(near.double().mean().item(), abs=0.05) and score > 0.6
    parts = torch.arange(SIZE[0], dtype=torch.uint8).div(16, rounding_mode='floor')
    parts = parts[:, None].expand(SIZE).repeat(60, 1, 1)
    halves = nothing[:40], parts[:40], nothing[40:], parts[40:]
    assert part_iou(*halves) > 0.8


@pytest.mark.parametrize('strength', [1e-4, 1e-2, 1.0])
def test_ridge_agrees_with_scikit_learn(strength):
    rng = torch.Generator().manual_seed(0)
    design = torch.randn(200, 12, generator=rng) * torch.logspace(-3, 3, 12) + 5
    design[:, 3] = 7  # a feature that never changes
    targets = torch.randn(200, 4, generator=rng) + design[:, :4]
    test = torch.randn(50, 12, generator=rng) * torch.logspace(-3, 3, 12) + 5
    scaler = StandardScaler().fit(design.double())
    ridge = Ridge(alpha=strength * len(design))
    ridge.fit(scaler.transform(design.double()), targets.double())
    expected = ridge.predict(scaler.transform(test.double()))
    predicted = fit_ridge(design, targets, strength)(test)
    torch.testing.assert_close(
        predicted, torch.from_numpy(expected), rtol=1e-6, atol=1e-6
    )


def test_discriminant_agrees_with_scikit_learn():
    rng = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (300,), generator=rng)
    design = torch.randn(300, 5, generator=rng) @ torch.randn(5, 5, generator=rng)
    design += torch.randn(3, 5, generator=rng)[labels]
    shares = torch.nn.functional.one_hot(labels, 4)  # the last class is absent
    found = fit_discriminant(design, shares, strength=1e-9)(design)[:, :3]
    theirs = LinearDiscriminantAnalysis().fit(design.double(), labels)
    # Theirs divides the covariance by n - 3, ours by n.
    expected = torch.from_numpy(theirs.predict_log_proba(design.double()))
    logarithms = found - found.logsumexp(dim=1, keepdim=True)
    torch.testing.assert_close(logarithms, expected, rtol=0.02, atol=0.02)


def test_half_a_patch_is_half_an_example():
    """Two equal rows of different classes are two rows with half of both."""
    design = torch.tensor([[0.0], [1.0], [1.0], [3.0]])
    hard = torch.tensor([[1, 0], [1, 0], [0, 1], [0, 1]])
    soft = torch.tensor([[1, 0], [0.5, 0.5], [0.5, 0.5], [0, 1]])
    expected = fit_discriminant(design, hard)(design)
    torch.testing.assert_close(fit_discriminant(design, soft)(design), expected)
