import hashlib
import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
from mmpretrain.registry import DATASETS

from saip_mm.data import SyntheticPeople, SyntheticScenes
from saip_mm.drawn import draw_person, draw_scene
from saip_mm.drawn.body import draw_body, draw_pose, skeleton, turned
from saip_mm.drawn.tubes import Patch, Tube

KEYS = [(0, 0, 0), (0, 0, 1), (0, 7, 3), (5, 7, 3), (0, 299, 12)]

DIGESTS = """
import hashlib
from saip_mm.drawn import draw_person, draw_scene
for key in {keys}:
    print(hashlib.sha256(draw_person(*key).image.tobytes()).hexdigest())
print(hashlib.sha256(draw_scene(3, 4).image.tobytes()).hexdigest())
"""


def digest(image):
    return hashlib.sha256(image.tobytes()).hexdigest()


@pytest.fixture(scope='module')
def bodies():
    """200 people, each in two poses."""
    drawn = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        body, poses = draw_body(rng), (draw_pose(rng), draw_pose(rng))
        drawn.append((poses, [skeleton(body, pose) for pose in poses]))
    return drawn


def test_same_bytes_in_another_process_and_order():
    script = DIGESTS.format(keys=KEYS[::-1])
    out = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True, check=True
    )
    *people, scene = out.stdout.split()
    assert people[::-1] == [digest(draw_person(*key).image) for key in KEYS]
    assert scene == digest(draw_scene(3, 4).image)


def test_seed_identity_and_index_each_matter():
    digests = {
        digest(draw_person(*key).image) for key in itertools.product(*[range(4)] * 3)
    }
    assert len(digests) == 64


def test_an_identity_keeps_its_clothes():
    """Hue of the image's center, where the trunk is, is alike within an identity."""
    hues = np.zeros((40, 6, 3))
    for identity, image in np.ndindex(40, 6):
        patch = draw_person(1, identity, image).image[64:112, 54:74].reshape(-1, 3)
        hues[identity, image] = np.median(patch, axis=0) / np.median(patch)
    distance = np.abs(hues[:, :, None, None] - hues[None, None]).sum(-1)
    same = np.eye(40, dtype=bool)[:, None, :, None]
    itself = same & np.eye(6, dtype=bool)[None, :, None, :]
    same = np.broadcast_to(same, distance.shape)
    within, between = distance[same & ~itself].mean(), distance[~same].mean()
    assert within < 0.7 * between


@pytest.mark.parametrize('size', [(256, 128), (255, 127), (16, 16), (40, 300)])
def test_any_size(size):
    for image in (draw_person(0, 1, 2, size).image, draw_scene(0, 1, size).image):
        assert image.shape == (*size, 3)
        assert image.dtype == np.uint8
        assert image.std() > 5


def test_limbs_keep_their_lengths(bodies):
    bones = [('hip', 'knee'), ('knee', 'ankle'), ('shoulder', 'elbow')]
    for _, skeletons in bodies:
        for a, b in [*bones, ('elbow', 'wrist')]:
            lengths = [
                np.linalg.norm(joints[a + side] - joints[b + side])
                for joints in skeletons
                for side in ('_l', '_r')
            ]
            assert lengths == pytest.approx([lengths[0]] * 4)


def test_joints_bend_only_where_people_do(bodies):
    for poses, skeletons in bodies:
        for pose, joints in zip(poses, skeletons, strict=True):
            body = {name: turned(at, -pose.yaw) for name, at in joints.items()}
            for side in ('_l', '_r'):
                thigh = body['knee' + side] - body['hip' + side]
                shin = body['ankle' + side] - body['knee' + side]
                # Cross product about the lateral axis: positive when bent backwards.
                assert thigh[2] * shin[1] - thigh[1] * shin[2] > -1e-3
                assert pose.seated or thigh[1] > 0.5 * np.linalg.norm(thigh)


def test_people_stand_on_the_ground_as_tall_as_people(bodies):
    seated = upright = 0
    for poses, skeletons in bodies:
        for pose, joints in zip(poses, skeletons, strict=True):
            lowest = max(at[1] for at in joints.values())
            assert -0.03 < lowest <= 0
            height = -joints['crown'][1]
            if pose.seated:
                assert 0.55 < height < 0.85
                seated += 1
            elif pose.lean < 0.3:
                assert 0.85 < height < 1.04
                upright += 1
    assert upright > 5 * seated > 0


def test_left_is_on_the_right_of_the_image_seen_from_the_front(bodies):
    for poses, skeletons in bodies:
        for pose, joints in zip(poses, skeletons, strict=True):
            across = joints['shoulder_l'][0] - joints['shoulder_r'][0]
            assert np.sign(across) == np.sign(np.cos(pose.yaw))


@pytest.mark.parametrize('yaw', [0.0, 0.6, 1.5, 2.7, -2.0])
def test_patches_lie_where_a_turned_ellipse_shows_them(yaw):
    """Against the outline and the points of an ellipse that is turned numerically."""
    depth, angles = 0.6, np.linspace(-np.pi, np.pi, 721)
    ellipse = np.stack([np.sin(angles), 0 * angles, depth * np.cos(angles)], axis=1)
    around = turned(ellipse, yaw)
    half_width = around[:, 0].max()
    facing = np.arctan2(depth * np.sin(yaw), np.cos(yaw))
    points = np.array([[0.0, 0.0], [0.0, 10.0]])
    tube = Tube(points, np.ones(2), (0, 1), facing, 0.0, (0, 0, 0))
    assert np.hypot(np.cos(yaw), depth * np.sin(yaw)) == pytest.approx(
        half_width, abs=1e-4
    )
    for left in np.arange(-3.0, 2.5, 0.5):
        piece = (angles >= left) & (angles <= left + 0.5)
        normal = np.stack([np.sin(angles), 0 * angles, np.cos(angles) / depth], axis=1)
        visible = piece & (turned(normal, yaw)[:, 2] > 0)
        u = tube.across(Patch(0, 1, (0, 0, 0), left, left + 0.5))
        if u is None:
            assert visible.sum() <= 1
        elif visible.sum() > 3:
            shown = around[visible, 0] / half_width
            assert u == pytest.approx((shown.min(), shown.max()), abs=0.02)


def test_dataset_gives_people_and_scenes():
    people = SyntheticPeople(
        num_identities=3,
        images_per_identity=2,
        seed=9,
        scenes=dict(type='SyntheticScenes', num_scenes=5),
    )
    assert len(people) == 6
    assert people.get_data_info(3)['identity'] == 1
    sample = people[(0, 4, 3)]
    assert np.array_equal(sample['image'], draw_person(9, 1, 1).image)
    assert sample['scene'].shape == (224, 224, 3)
    assert 'identity 1' in sample['source']
    assert np.array_equal(sample['scene'], people[(0, 4, 3)]['scene'])


def test_kept_images_are_drawn_once_and_stay_as_they_are():
    def data_set(keep):
        return SyntheticPeople(
            num_identities=2,
            images_per_identity=2,
            pipeline=[dict(type='DrawViews'), dict(type='ApplyViews')],
            scenes=dict(type='SyntheticScenes', num_scenes=2, keep=keep),
            keep=keep,
        )

    fresh, kept = data_set(keep=False), data_set(keep=True)
    info = kept.get_data_info(1)
    first = kept.load_image(info)
    for epoch in range(2):
        for index in range(4):
            expected = fresh[(0, epoch, index)]['inputs']
            views = kept[(0, epoch, index)]['inputs']
            assert views.keys() == expected.keys()
            for name, view in views.items():
                torch.testing.assert_close(view, expected[name], rtol=0, atol=0)
    assert kept.load_image(info) is first
    assert np.array_equal(first, draw_person(0, 0, 1).image)


def test_registered():
    assert DATASETS.get('SyntheticPeople') is SyntheticPeople
    assert DATASETS.get('SyntheticScenes') is SyntheticScenes


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(num_identities=0), 'num_identities is 0'),
        (dict(images_per_identity=0), 'images_per_identity is 0'),
        (dict(size=(8, 128)), r'size is \(8, 128\)'),
        (dict(size=256), 'size is 256'),
        (dict(seed=-1), 'seed is -1'),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SyntheticPeople(**arguments)


def test_bad_arguments_of_scenes():
    with pytest.raises(ValueError, match='num_scenes is 0'):
        SyntheticScenes(num_scenes=0)
    with pytest.raises(ValueError, match='max_people is -1'):
        SyntheticScenes(max_people=-1)
