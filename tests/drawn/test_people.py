"""Drawn people: their pixels, bodies and data sets."""

import hashlib
import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch

from saip_mm.data import SyntheticPeople, SyntheticScenes
from saip_mm.drawn import draw_person, draw_scene
from saip_mm.drawn.body import Body, Pose, skeleton, turned
from saip_mm.drawn.camera import Camera, Light, photograph
from saip_mm.drawn.tubes import Patch, Tube

DIGEST = """
import hashlib
from saip_mm.drawn import draw_person, draw_scene
images = [draw_person(5, 7, 3), draw_person(0, 0, 1), draw_scene(3, 4)]
print(*(hashlib.sha256(drawn.image.tobytes()).hexdigest() for drawn in images))
"""


def digest(drawn):
    return hashlib.sha256(drawn.image.tobytes()).hexdigest()


def test_same_bytes_in_another_process_and_order():
    here = [digest(draw_scene(3, 4)), digest(draw_person(0, 0, 1))]
    here.append(digest(draw_person(5, 7, 3)))
    command = [sys.executable, '-c', DIGEST]
    there = subprocess.run(command, capture_output=True, text=True, check=True)
    assert there.stdout.split()[::-1] == here


def test_seed_identity_and_index_each_matter():
    keys = itertools.product(*[range(4)] * 3)
    assert len({digest(draw_person(*key)) for key in keys}) == 64


def test_an_identity_keeps_its_clothes():
    """Hue of the image's center, where the trunk is, is alike within an identity."""
    hues = np.zeros((40, 6, 3))
    for identity, image in np.ndindex(40, 6):
        patch = draw_person(1, identity, image).image[64:112, 54:74].reshape(-1, 3)
        hues[identity, image] = np.median(patch, axis=0) / np.median(patch)
    distance = np.abs(hues[:, :, None, None] - hues[None, None]).sum(-1)
    within = np.mean([distance[i, :, i].sum() / 30 for i in range(40)])
    between = np.mean(
        [distance[i, :, j] for i, j in itertools.permutations(range(40), 2)]
    )
    assert within < 0.7 * between


@pytest.mark.parametrize('size', [(256, 128), (255, 127), (16, 16), (40, 300)])
def test_any_size(size):
    for drawn in (draw_person(0, 1, 2, size), draw_scene(0, 1, size)):
        assert drawn.image.shape == (*size, 3)
        assert drawn.image.dtype == np.uint8
        assert drawn.image.std() > 5


@pytest.fixture(scope='module')
def bodies():
    """400 poses, two of each body, and their joints."""
    drawn = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        body = Body(rng)
        poses = Pose(rng), Pose(rng)
        drawn += [(pose, skeleton(body, pose)) for pose in poses]
    return drawn


def test_limbs_keep_their_lengths(bodies):
    bones = [('hip', 'knee'), ('knee', 'ankle'), ('shoulder', 'elbow')]
    for a, b in [*bones, ('elbow', 'wrist')]:
        lengths = np.array(
            [
                [np.linalg.norm(at[a + side] - at[b + side]) for side in ('_l', '_r')]
                for _, at in bodies
            ]
        ).reshape(200, 4)
        np.testing.assert_allclose(lengths, lengths[:, :1].repeat(4, 1))


def test_joints_bend_only_where_people_do(bodies):
    for pose, joints in bodies:
        body = {name: turned(at, -pose.yaw) for name, at in joints.items()}
        for side in ('_l', '_r'):
            thigh = body['knee' + side] - body['hip' + side]
            shin = body['ankle' + side] - body['knee' + side]
            # Cross product about the lateral axis: positive when bent backwards.
            assert thigh[2] * shin[1] - thigh[1] * shin[2] > -1e-3
            assert pose.seated or thigh[1] > 0.5 * np.linalg.norm(thigh)


def test_people_stand_on_the_ground_as_tall_as_people(bodies):
    seated = upright = 0
    for pose, joints in bodies:
        assert -0.03 < max(at[1] for at in joints.values()) <= 0
        height = -joints['crown'][1]
        seated += pose.seated
        upright += not pose.seated and pose.lean < 0.3
        assert not pose.seated or 0.55 < height < 0.85
        assert pose.seated or pose.lean >= 0.3 or 0.85 < height < 1.04
        # Seen from the front, left is on the right of the image.
        across = joints['shoulder_l'][0] - joints['shoulder_r'][0]
        assert np.sign(across) == np.sign(np.cos(pose.yaw))
    assert upright > 5 * seated > 0


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
    width = np.hypot(np.cos(yaw), depth * np.sin(yaw))
    assert width == pytest.approx(half_width, abs=1e-4)
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


def test_a_camera_gives_its_own_colors_under_any_light():
    """Red over blue of a gray card, from 30 cameras under 8 lights each."""
    ratios = np.zeros((30, 8))
    gray = np.full((32, 32, 3), 128, np.uint8)
    for i, j in np.ndindex(ratios.shape):
        camera, rng = (
            Camera(np.random.default_rng(i)),
            np.random.default_rng((i, j, 1)),
        )
        picture = photograph(gray, camera, Light(rng), rng)
        ratios[i, j] = picture[..., 0].mean() / picture[..., 2].mean()
    assert ratios.mean(axis=1).std() > 1.5 * ratios.std(axis=1).mean()


def data_set(keep=False):
    return SyntheticPeople(
        num_identities=2,
        images_per_identity=6,
        seed=9,
        size=(64, 32),
        pipeline=[dict(type='DrawViews'), dict(type='ApplyViews')],
        scenes=dict(type='SyntheticScenes', num_scenes=2, keep=keep),
        keep=keep,
    )


def test_data_sets_contain_people_and_scenes():
    people = data_set()
    infos = [people.get_data_info(i) for i in range(len(people))]
    assert len(people) == 12 and infos[7]['identity'] == infos[7]['image'] == 1
    for first in (0, 6):  # cameras take turns
        assert sorted(info['camera'] for info in infos[first : first + 6]) == [
            *range(6)
        ]
    image = people.load_image(infos[7])
    assert np.array_equal(image, draw_person(9, 1, 1, (64, 32)).image)
    labeled = people.load_labeled(infos[7])
    assert np.array_equal(labeled.image, image) and labeled.people[0].identity == 1
    assert labeled.camera == infos[7]['camera']
    assert 'image 1 of identity 1' in people.source(infos[7])
    scene = people.scenes.load_image(dict(image=1))
    assert np.array_equal(scene, draw_scene(0, 1).image)


def test_kept_images_are_drawn_once_and_stay_as_they_are():
    fresh, kept = data_set(), data_set(keep=True)
    info = kept.get_data_info(1)
    first = kept.load_image(info)
    for epoch, index in np.ndindex(2, 4):
        expected = fresh[(0, epoch, index)]['inputs']
        views = kept[(0, epoch, index)]['inputs']
        torch.testing.assert_close(views, expected, rtol=0, atol=0)
    assert kept.load_image(info) is first
    assert np.array_equal(first, fresh.load_image(info))


@pytest.mark.parametrize(
    ('kind', 'arguments', 'message'),
    [
        (SyntheticPeople, dict(num_identities=0), 'num_identities is 0'),
        (SyntheticPeople, dict(images_per_identity=0), 'images_per_identity is 0'),
        (SyntheticPeople, dict(size=(8, 128)), r'size is \(8, 128\)'),
        (SyntheticPeople, dict(size=256), 'size is 256'),
        (SyntheticPeople, dict(seed=-1), 'seed is -1'),
        (SyntheticScenes, dict(num_scenes=0), 'num_scenes is 0'),
        (SyntheticScenes, dict(max_people=-1), 'max_people is -1'),
    ],
)
def test_bad_arguments(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(**arguments)
