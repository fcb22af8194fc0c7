"""Labels of synthetic people, held against the pictures and against each other."""

import cv2
import numpy as np
import pytest

from saip_mm.data import SyntheticPeople, SyntheticScenes
from saip_mm.drawn import (
    ATTRIBUTES,
    KEYPOINTS,
    PARTS,
    draw_person,
    draw_scene,
)
from saip_mm.drawn.camera import draw_camera, draw_light, photograph

# LIP's own order of its labels.
LIP = [
    'background',
    'hat',
    'hair',
    'glove',
    'sunglasses',
    'upper-clothes',
    'dress',
    'coat',
    'socks',
    'pants',
    'jumpsuits',
    'scarf',
    'skirt',
    'face',
    'left-arm',
    'right-arm',
    'left-leg',
    'right-leg',
    'left-shoe',
    'right-shoe',
]


@pytest.fixture(scope='module')
def portraits():
    """Two pictures each of 80 people."""
    return [draw_person(4, *key, labeled=True) for key in np.ndindex(80, 2)]


@pytest.fixture(scope='module')
def crowds():
    return [draw_scene(4, i, (224, 300), 30, 1, labeled=True) for i in range(12)]


def test_labeled_pictures_are_the_unlabeled_ones():
    assert np.array_equal(
        draw_person(4, 7, 3, labeled=True).image, draw_person(4, 7, 3).image
    )
    assert np.array_equal(draw_scene(4, 7, labeled=True).image, draw_scene(4, 7).image)
    people = SyntheticPeople(9, 2, seed=4)
    info = people.get_data_info(15)
    labeled = people.load_labeled(info)
    assert np.array_equal(labeled.image, people.load_image(info))
    assert labeled.people[0].identity == info['identity'] == 7
    assert labeled.camera == info['camera']
    scenes = SyntheticScenes(9, max_people=5, seed=4, min_people=5)
    info = scenes.get_data_info(3)
    labeled = scenes.load_labeled(info)
    assert np.array_equal(labeled.image, scenes.load_image(info))
    assert len(labeled.people) == 5


def test_all_parts_of_lip_occur(portraits):
    assert list(PARTS) == LIP
    assert set(np.unique([p.parts for p in portraits])) == set(range(20))


def test_labels_lie_on_what_is_seen(portraits):
    """Where labels change, colors change: edges of labels lie on edges of images."""
    ratios = []
    for portrait in portraits:
        gray = cv2.cvtColor(portrait.image, cv2.COLOR_RGB2GRAY).astype(np.float32)
        gray = cv2.GaussianBlur(gray, (0, 0), 1)
        slope = np.abs(np.diff(gray, axis=1))
        person = portrait.instances > 0
        edge = person[:, 1:] != person[:, :-1]
        ratios.append(slope[edge].mean() / slope[~edge].mean())
    assert np.median(ratios) > 2


def test_parts_are_next_to_their_joints(portraits):
    """Pixels of shoes are nearest to the ankle of their own side, and so on."""
    joints = {
        'hair': 'left_ear right_ear nose',
        'face': 'nose left_eye right_eye left_ear right_ear left_shoulder '
        'right_shoulder',
        'left-shoe': 'left_ankle',
        'right-shoe': 'right_ankle',
        'left-arm': 'left_elbow left_wrist',
        'right-arm': 'right_elbow right_wrist',
        'left-leg': 'left_knee left_ankle left_hip',
        'right-leg': 'right_knee right_ankle right_hip',
    }
    for part, names in joints.items():
        distances = []
        for portrait in portraits:
            mine = (portrait.parts == LIP.index(part)) & (portrait.instances == 1)
            points = portrait.people[0].keypoints
            points = points[[KEYPOINTS.index(name) for name in names.split()]]
            if mine.sum() < 20 or (points[:, 2] == 0).any():
                continue
            pixels = np.argwhere(mine)[:, ::-1] + 0.5
            gap = np.linalg.norm(pixels[:, None] - points[None, :, :2], axis=2).min(1)
            distances.append(np.median(gap))
        assert len(distances) > 5, part
        assert np.mean(distances) < 20, part  # of 256 pixels


def test_boxes_hold_their_people(portraits, crowds):
    for labeled in [*portraits, *crowds]:
        h, w = labeled.parts.shape
        for number, person in enumerate(labeled.people, start=1):
            x1, y1, x2, y2 = person.full_box
            rows, columns = np.nonzero(labeled.instances == number)
            if not len(rows):
                assert not person.visible_box.any()
                continue
            seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert person.visible_box.tolist() == seen
            # Lines of one pixel around every polygon, and clothes wider than limbs.
            slack = 2 + 0.03 * (y2 - y1)
            assert x1 - slack <= seen[0] and y1 - slack <= seen[1]
            assert seen[2] <= x2 + slack and seen[3] <= y2 + slack
            hx1, hy1, hx2, hy2 = person.head_box
            assert x1 - 0.01 <= hx1 < hx2 <= x2 + 0.01
            assert 0.06 < (hy2 - hy1) / (y2 - y1) < 0.45
            inside = person.keypoints[:5]
            inside = inside[inside[:, 2] > 0]
            slack = 0.3 * (hy2 - hy1)
            assert (inside[:, 0] >= hx1 - slack).all()
            assert (inside[:, 0] <= hx2 + slack).all()
            assert (inside[:, 1] >= hy1 - slack).all()
            assert (inside[:, 1] <= hy2 + slack).all()


def test_keypoints_are_visible_where_their_person_is_seen(portraits, crowds):
    states = np.zeros(3, int)
    for labeled in [*portraits, *crowds]:
        h, w = labeled.parts.shape
        for number, person in enumerate(labeled.people, start=1):
            assert person.keypoints.shape == (17, 3)
            for x, y, v in person.keypoints:
                states[int(v)] += 1
                if v == 0:
                    assert x == y == 0
                else:
                    assert 0 <= x < w and 0 <= y < h
                if v == 2:
                    assert labeled.instances[int(y), int(x)] == number
    assert (states > 50).all()


def test_faces_are_visible_from_the_front_only(portraits):
    """The nose is seen where skin of the face is, and eyes never without it."""
    nose, *eyes = (KEYPOINTS.index(n) for n in ('nose', 'left_eye', 'right_eye'))
    seen = 0
    for portrait in portraits:
        state = portrait.people[0].keypoints[:, 2]
        if (state[eyes] == 2).all():
            assert state[nose] == 2 or (portrait.instances != 1).any()
            seen += 1
    assert 0.2 < seen / len(portraits) < 0.7


def test_attributes_are_what_is_seen(portraits):
    parts = dict(hat='hat', sunglasses='sunglasses', scarf='scarf', coat='coat')
    parts |= {'gloves': 'glove', 'skirt or dress': ('skirt', 'dress')}
    for name, labels in parts.items():
        labels = [labels] if isinstance(labels, str) else labels
        wanted = [LIP.index(label) for label in labels]
        having = []
        for portrait in portraits:
            mine = portrait.parts[portrait.instances == 1]
            shown = np.isin(mine, wanted).sum() > 8
            has = portrait.people[0].attributes[list(ATTRIBUTES).index(name)]
            assert has or not shown, name
            having.append(shown if has else None)
        having = [shown for shown in having if shown is not None]
        assert len(having) > 5 and np.mean(having) > 0.5, name


def test_an_identity_keeps_its_attributes_and_measures():
    first, second = (draw_person(4, 11, i, labeled=True).people[0] for i in (0, 5))
    assert np.array_equal(first.attributes, second.attributes)
    assert np.array_equal(first.measurements, second.measurements)
    assert len(first.attributes) == len(ATTRIBUTES) == 12


def test_every_attribute_is_shared_by_some():
    rates = np.mean(
        [draw_person(4, i, 0, labeled=True).people[0].attributes for i in range(200)], 0
    )
    assert (rates > 0.05).all() and (rates < 0.8).all()


def test_crowds_have_people_of_all_sizes_who_overlap(crowds):
    counts = [len(crowd.people) for crowd in crowds]
    assert min(counts) >= 1 and max(counts) <= 30 and max(counts) > 15
    heights = [np.ptp(p.full_box[1::2]) for crowd in crowds for p in crowd.people]
    assert max(heights) > 4 * min(heights)
    hidden = [
        1 - (crowd.instances == i).sum() / max(area(person.full_box), 1)
        for crowd in crowds
        for i, person in enumerate(crowd.people, start=1)
    ]
    assert np.mean(np.array(hidden) > 0.8) > 0.1


def area(box):
    return (box[2] - box[0]) * (box[3] - box[1])


def test_cameras_take_turns():
    people = SyntheticPeople(4, 6, seed=4, size=(64, 32))
    cameras = [people.get_data_info(i)['camera'] for i in range(len(people))]
    assert [sorted(cameras[i : i + 6]) for i in (0, 6, 12, 18)] == [list(range(6))] * 4


def test_a_camera_gives_its_own_colors_under_any_light():
    """Red over blue of a gray card, from 30 cameras under 8 lights each."""
    ratios = np.zeros((30, 8))
    gray = np.full((32, 32, 3), 128, np.uint8)
    for i in range(30):
        camera = draw_camera(np.random.default_rng(i))
        for j in range(8):
            rng = np.random.default_rng((i, j, 1))
            picture = photograph(gray, camera, draw_light(rng), rng)
            ratios[i, j] = picture[..., 0].mean() / picture[..., 2].mean()
    assert ratios.mean(axis=1).std() > 1.5 * ratios.std(axis=1).mean()
