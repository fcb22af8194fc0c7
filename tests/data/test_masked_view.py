"""Masks of HAP against plain loops, and the views that they belong to."""

import math
import random

import numpy as np
import pytest

from saip_mm.data import ApplyMaskedView, DrawMaskedView, SyntheticPeople, masked_view
from saip_mm.data.masked_view import draw_part_mask, part_patches
from saip_mm.drawn import draw_person

GRID, PATCH = (16, 8), 16
KEYPOINTS = draw_person(0, 3, 0, labeled=True).people[0].keypoints
# Head, arms, legs and trunk, as pairs of keypoints.
LIMBS = [
    [(0, 1), (0, 2), (1, 2), (1, 3), (2, 4)],
    [(5, 7), (7, 9)],
    [(6, 8), (8, 10)],
    [(11, 13), (13, 15)],
    [(12, 14), (14, 16)],
    [(6, 11), (5, 12)],
]


def plain_parts(keypoints):
    """For each part the patches in its limbs' boxes, pixel by pixel."""
    parts = []
    for limbs in LIMBS:
        patches = set()
        for a, b in limbs:
            (xa, ya, va), (xb, yb, vb) = keypoints[a], keypoints[b]
            if va > 0 and vb > 0:
                for y in range(int(min(ya, yb)), int(max(ya, yb)) + 1):
                    for x in range(int(min(xa, xb)), int(max(xa, xb)) + 1):
                        patches.add(y // PATCH * GRID[1] + x // PATCH)
        parts.append(sorted(patches))
    return parts


def plain_blocks(count):
    masked = set()
    while len(masked) < count:
        for _ in range(10):
            area = random.uniform(12, count - len(masked))
            aspect = math.exp(random.uniform(math.log(0.3), math.log(1 / 0.3)))
            h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if h < GRID[0] and w < GRID[1]:
                top, left = random.randint(0, 16 - h), random.randint(0, 8 - w)
                block = {(top + i) * 8 + left + j for i in range(h) for j in range(w)}
                if 0 < len(block - masked) <= count - len(masked):
                    masked |= block
                    break
        else:
            break
    return masked


def plain_mask(count, parts, most):
    """The patches with the highest priorities: parts, blocks, others."""
    priority = [random.random() for _ in range(GRID[0] * GRID[1])]
    for patch in plain_blocks(count):
        priority[patch] += 2
    parts = random.sample([part for part in parts if part], sum(map(bool, parts)))
    for i in range(min(random.randint(0, 6), len(parts))):
        share = int(len(parts[i]) * random.uniform(0, most))
        for patch in random.sample(parts[i], share):
            priority[patch] = 100 - i + random.random()
    order = sorted(range(len(priority)), key=lambda patch: -priority[patch])
    return [patch in order[:count] for patch in range(len(priority))]


def test_patches_of_parts():
    for identity in range(20):
        keypoints = draw_person(1, identity, 0, labeled=True).people[0].keypoints
        ours = part_patches(keypoints, GRID, PATCH)
        assert [part.tolist() for part in ours] == plain_parts(keypoints)


@pytest.mark.parametrize('ratio', [0.5, 0.75, 0.03])
@pytest.mark.parametrize('keypoints', [KEYPOINTS, None, np.zeros((17, 3), np.float32)])
def test_the_masked_share_is_exact(ratio, keypoints):
    rng = np.random.default_rng(0)
    for _ in range(50):
        mask = draw_part_mask(rng, GRID, ratio, keypoints, PATCH)
        assert mask.shape == GRID and mask.sum() == math.ceil(128 * ratio)


@pytest.mark.parametrize('ratio, most', [(0.5, 0.3), (0.1, 0.3), (0.2, 1.0)])
def test_patches_are_masked_as_often_as_by_plain_loops(ratio, most, monkeypatch):
    """With a small ratio, parts leave no room for blocks."""
    monkeypatch.setattr(masked_view, 'MAX_PART_SHARE', most)
    keypoints = KEYPOINTS.copy()
    if most == 1:
        keypoints[13:, 2] = 0  # no legs
    rng, number = np.random.default_rng(0), 1500
    random.seed(0)
    ours = [draw_part_mask(rng, GRID, ratio, keypoints, PATCH) for _ in range(number)]
    parts, count = plain_parts(keypoints), math.ceil(128 * ratio)
    plain = [plain_mask(count, parts, most) for _ in range(number)]
    ours, plain = np.mean(ours, axis=0).ravel(), np.mean(plain, axis=0)
    deviation = np.sqrt((ours * (1 - ours) + plain * (1 - plain)) / number)
    scores = (ours - plain) / deviation
    assert np.abs(scores).max() < 4.5
    assert 0.7 < scores.std() < 1.3


def test_parts_go_before_blocks(monkeypatch):
    """With blocks everywhere outside the parts, only parts displace them."""
    parts = np.unique(np.concatenate(part_patches(KEYPOINTS, GRID, PATCH)))
    blocks = np.ones(128, bool)
    blocks[parts] = False
    monkeypatch.setattr(masked_view, 'draw_blocks', lambda *_: blocks.reshape(GRID))
    rng, ratio = np.random.default_rng(0), blocks.sum() / 128
    plain = draw_part_mask(rng, GRID, ratio, None, PATCH)
    np.testing.assert_array_equal(plain.ravel(), blocks)
    inside = [
        draw_part_mask(rng, GRID, ratio, KEYPOINTS, PATCH).ravel()[parts].sum()
        for _ in range(200)
    ]
    assert min(inside) == 0 and 5 < max(inside) < 0.3 * len(parts) + 6


def dots(keypoints, size):
    """An image with a bright square around each known keypoint."""
    image = np.zeros((*size, 3), np.uint8)
    for x, y, v in keypoints.astype(int):
        if v > 0:
            image[max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4] = 255
    return image


def test_keypoints_move_with_the_pixels():
    keypoints = KEYPOINTS * (2, 2, 1)
    draw, apply = DrawMaskedView(area=(0.3, 0.6)), ApplyMaskedView()
    flips = set()
    for index in range(40):
        results = dict(
            image=dots(keypoints, (512, 256)),
            keypoints=keypoints,
            rng=np.random.default_rng((0, 0, index)),
        )
        results = draw(results)
        image = apply(results)['inputs']['image']
        view = results['view']
        flips.add(view.flip)
        known = view.keypoints[view.keypoints[:, 2] > 0]
        assert 0 < len(known) < 17
        for x, y, _ in known.astype(int):
            assert image[0, y, x] > 150
    assert flips == {True, False}


@pytest.mark.parametrize('flip', [0, 1])
def test_probability_of_flips(flip):
    people = SyntheticPeople(1, 4, keypoints=True, pipeline=[DrawMaskedView(flip=flip)])
    for sample in people:
        assert sample['view'].flip == flip and 'scene' not in sample


def test_samples_depend_on_the_key_alone():
    people = SyntheticPeople(
        2, 2, keypoints=True, pipeline=[DrawMaskedView(), ApplyMaskedView()]
    )
    first, again, later = (
        people[key]['inputs'] for key in [(0, 0, 1)] * 2 + [(0, 1, 1)]
    )
    assert first['image'].shape == (3, 256, 128) and first['visible'].shape == (2, 64)
    for name, value in first.items():
        assert value.equal(again[name]) and not value.equal(later[name])
    assert not first['visible'][0].equal(first['visible'][1])


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(size=(250, 128)), 'multiples of patch_size=16'),
        (dict(mask_ratio=1), 'mask_ratio=1 is not between'),
        (dict(area=(0.8, 1.2)), 'area'),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        DrawMaskedView(**options)
