"""Drawn people: their pixels, bodies and data sets."""

import itertools
import pickle

import numpy as np
import pytest
import torch

from saip_mm.data import SyntheticPeople, SyntheticScenes
from saip_mm.drawn import draw_person, draw_scene


def test_seed_identity_and_index_each_matter():
    keys = itertools.product(*[range(4)] * 3)
    assert len({draw_person(*key).image.tobytes() for key in keys}) == 64


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
    kept = pickle.loads(pickle.dumps(kept))  # as for spawned workers
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
        (SyntheticPeople, dict(num_identities=2**20 + 1), 'identity is 1048576; give'),
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
