"""Labels of drawn people, compared with the pixels and with each other."""

import cv2
import numpy as np
import pytest

from saip_mm.drawn import ATTRIBUTES, KEYPOINTS, PARTS, draw_person, draw_scene

LIP = (
    'background hat hair glove sunglasses upper-clothes dress coat socks pants '
    'jumpsuits scarf skirt face left-arm right-arm left-leg right-leg left-shoe '
    'right-shoe'
)  # in the data set's own order


@pytest.fixture(scope='module')
def portraits():
    """Two images each of 80 people."""
    return [draw_person(4, *key, labeled=True) for key in np.ndindex(80, 2)]


@pytest.fixture(scope='module')
def crowds():
    return [draw_scene(4, i, (224, 300), 30, 1, labeled=True) for i in range(12)]


def test_labels_leave_the_pixels_alone(portraits, crowds):
    assert np.array_equal(portraits[15].image, draw_person(4, 7, 1).image)
    assert np.array_equal(crowds[7].image, draw_scene(4, 7, (224, 300), 30, 1).image)


def test_all_parts_of_lip_occur(portraits):
    assert ' '.join(PARTS) == LIP
    assert set(np.unique([p.parts for p in portraits])) == set(range(20))


def test_labels_lie_on_what_is_seen(portraits):
    """Where labels change, colors change: edges of labels lie on edges of images."""
    ratios = []
    for portrait in portraits:
        gray = cv2.cvtColor(portrait.image, cv2.COLOR_RGB2GRAY).astype(np.float32)
        slope = np.abs(np.diff(cv2.GaussianBlur(gray, (0, 0), 1), axis=1))
        edge = np.diff(portrait.instances > 0, axis=1)
        ratios.append(slope[edge].mean() / slope[~edge].mean())
    assert np.median(ratios) > 2


@pytest.mark.parametrize(
    ('part', 'joints'),
    [
        ('hair', 'left_ear right_ear nose'),
        (
            'face',
            'nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder',
        ),
        ('left-shoe', 'left_ankle'),
        ('right-shoe', 'right_ankle'),
        ('left-arm', 'left_elbow left_wrist'),
        ('right-arm', 'right_elbow right_wrist'),
        ('left-leg', 'left_knee left_ankle left_hip'),
        ('right-leg', 'right_knee right_ankle right_hip'),
    ],
)
def test_parts_are_next_to_their_joints(portraits, part, joints):
    distances = []
    for portrait in portraits:
        mine = (portrait.parts == PARTS.index(part)) & (portrait.instances == 1)
        points = portrait.people[0].keypoints
        points = points[[KEYPOINTS.index(name) for name in joints.split()]]
        if mine.sum() >= 20 and points[:, 2].all():
            pixels = np.argwhere(mine)[:, ::-1] + 0.5
            gap = np.linalg.norm(pixels[:, None] - points[None, :, :2], axis=2).min(1)
            distances.append(np.median(gap))
    assert len(distances) > 5
    assert np.mean(distances) < 20  # of 256 pixels


def test_boxes_hold_their_people(portraits, crowds):
    for labeled in [*portraits, *crowds]:
        for number, person in enumerate(labeled.people, start=1):
            rows, columns = np.nonzero(labeled.instances == number)
            if not len(rows):
                assert not person.visible_box.any()
                continue
            low, high = np.split(person.full_box, 2)
            seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert person.visible_box.tolist() == seen
            # Lines of one pixel around every polygon, and clothes wider than limbs.
            slack, height = 2 + 0.03 * (high[1] - low[1]), high[1] - low[1]
            assert (low - slack <= seen[:2]).all() and (seen[2:] <= high + slack).all()
            head_low, head_high = np.split(person.head_box, 2)
            assert (low - 0.01 <= head_low).all() and (head_high <= high + 0.01).all()
            tall = head_high[1] - head_low[1]
            assert 0.06 < tall / height < 0.45
            face = person.keypoints[:5]
            face = face[face[:, 2] > 0, :2]
            assert (face >= head_low - 0.3 * tall).all()
            assert (face <= head_high + 0.3 * tall).all()


def test_keypoints_are_visible_where_their_person_is_seen(portraits, crowds):
    states = np.zeros(3, int)
    for labeled in [*portraits, *crowds]:
        h, w = labeled.parts.shape
        for number, person in enumerate(labeled.people, start=1):
            assert person.keypoints.shape == (17, 3)
            for x, y, v in person.keypoints:
                states[int(v)] += 1
                assert (0 <= x < w and 0 <= y < h) if v else x == y == 0
                assert v < 2 or labeled.instances[int(y), int(x)] == number
    assert (states > 50).all()


def test_faces_are_visible_from_the_front_only(portraits):
    """The nose is seen where skin of the face is, and eyes never without it."""
    seen = 0
    for portrait in portraits:
        nose, *eyes = portrait.people[0].keypoints[:3, 2] == 2
        assert nose or not all(eyes) or (portrait.instances > 1).any()
        seen += all(eyes)
    assert 0.2 < seen / len(portraits) < 0.7


@pytest.mark.parametrize(
    ('name', 'labels'),
    [
        ('hat', ['hat']),
        ('sunglasses', ['sunglasses']),
        ('scarf', ['scarf']),
        ('coat', ['coat']),
        ('gloves', ['glove']),
        ('skirt or dress', ['skirt', 'dress']),
    ],
)
def test_attributes_are_what_is_seen(portraits, name, labels):
    wanted, shown_if_worn = [PARTS.index(label) for label in labels], []
    for portrait in portraits:
        shown = np.isin(portrait.parts[portrait.instances == 1], wanted).sum() > 8
        has = portrait.people[0].attributes[list(ATTRIBUTES).index(name)]
        assert has or not shown
        if has:
            shown_if_worn.append(shown)
    assert len(shown_if_worn) > 5 and np.mean(shown_if_worn) > 0.5


def test_crowds_have_people_of_all_sizes_who_overlap(crowds):
    counts = [len(crowd.people) for crowd in crowds]
    assert min(counts) >= 1 and 15 < max(counts) <= 30
    sizes, hidden = [], []
    for crowd in crowds:
        for number, person in enumerate(crowd.people, start=1):
            sizes.append(person.full_box[2:] - person.full_box[:2])
            seen = (crowd.instances == number).sum()
            hidden.append(seen < 0.2 * max(sizes[-1].prod(), 1))
    heights = [h for _, h in sizes]
    assert max(heights) > 4 * min(heights)
    assert np.mean(hidden) > 0.1


def test_details_lie_at_their_joints(portraits):
    """Heels are below ankles, hands begin at wrists, noses agree."""
    for portrait in portraits[::8]:
        person = portrait.people[0]
        body, whole = person.keypoints, person.whole_body
        h = np.ptp(person.full_box[1::2])
        for first, second in ((15, 19), (16, 22), (9, 91), (10, 112), (0, 53)):
            if body[first, 2] and whole[second, 2]:
                assert np.linalg.norm((body[first] - whole[second])[:2]) < 0.05 * h
        face = whole[23:91]
        if (face[:, 2] > 0).all():
            low, high = np.split(person.head_box, 2)
            assert (face[:, :2] > low - 2).all()
            assert (face[:, :2] < high + (2, 0.03 * h)).all()
