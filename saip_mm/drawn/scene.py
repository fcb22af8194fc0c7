"""Pictures of one or several people, with or without labels."""

from functools import lru_cache

import numpy as np

from .body import draw_pose
from .camera import Camera, draw_camera, draw_light, photograph
from .describe import describe
from .figure import Figure
from .labels import LabeledImage
from .place import draw_background, put_in_front
from .tubes import Canvas
from .wardrobe import Identity, draw_identity

IDENTITY, PERSON, SCENE, CAMERA, PLACE = 1, 2, 3, 4, 5  # streams of random numbers
SMALLEST = 16  # pixels; below, nothing of a person is left
NUM_CAMERAS = 6
NUM_PLACES = 8  # that a camera looks at
# The others in a picture are numbered from here, above those of any data set.
STRANGERS = 1 << 20


def camera_of(identity: int, index: int) -> int:
    """Number of the camera that takes a person's image: they take turns."""
    return (identity + index) % NUM_CAMERAS


def draw_person(
    seed: int, identity: int, index: int, size: tuple[int, int] = (256, 128)
) -> np.ndarray:
    """Draw one image of one person.

    Everything follows from (seed, identity, index); the person only from (seed,
    identity), camera and places from (seed, camera_of(identity, index)).

    Args:
        seed: Of the whole data set, not negative.
        identity: Which person, from 0 to 1,048,575.
        index: Which of the person's images, not negative.
        size: (h, w) in pixels, at least 16 each.

    Returns:
        RGB image, uint8 [h, w, 3].

    Raises:
        ValueError: If a number is out of its range or the size too small.
    """
    return _take_portrait(seed, identity, index, size, labeled=False).image


def label_person(
    seed: int, identity: int, index: int, size: tuple[int, int] = (256, 128)
) -> LabeledImage:
    """The image of ``draw_person``, and all that is known about it.

    The person is the first of ``people``; strangers in the picture follow.
    """
    return _take_portrait(seed, identity, index, size, labeled=True)


def draw_scene(
    seed: int,
    index: int,
    size: tuple[int, int] = (224, 224),
    max_people: int = 3,
    min_people: int = 0,
) -> np.ndarray:
    """Draw a place with min_people to max_people people, small and large.

    Args and errors as in draw_person.

    Returns:
        RGB image, uint8 [h, w, 3].
    """
    crowd = (min_people, max_people)
    return _take_scene(seed, index, size, *crowd, labeled=False).image


def label_scene(
    seed: int,
    index: int,
    size: tuple[int, int] = (224, 224),
    max_people: int = 3,
    min_people: int = 0,
) -> LabeledImage:
    """The image of ``draw_scene``, and all that is known about it.

    People are ordered from the farthest to the nearest.
    """
    return _take_scene(seed, index, size, min_people, max_people, labeled=True)


# The last number of a seed is never 0: numpy's seeds (1, 2) and (1, 2, 0) are the same.


@lru_cache(4096)
def _identity(seed: int, number: int) -> Identity:
    return draw_identity(np.random.default_rng((seed, number, 0, IDENTITY)), number)


@lru_cache(64)
def _camera(seed: int, number: int) -> Camera:
    return draw_camera(np.random.default_rng((seed, number, 0, CAMERA)))


@lru_cache(2 * NUM_CAMERAS * NUM_PLACES)
def _place(seed: int, camera: int, number: int, size: tuple) -> tuple:
    """A place, twice as wide as an image, and its horizon."""
    rng = np.random.default_rng((seed, camera, number, PLACE))
    h, w = size
    horizon = rng.uniform(0.15, 0.5)
    return draw_background(rng, (h, 2 * w), horizon), horizon


def _look(seed, camera, size, rng):
    """A view of one of a camera's places, and its horizon."""
    h, w = size
    place, horizon = _place(seed, camera, int(rng.integers(NUM_PLACES)), (h, w))
    left = rng.integers(w + 1)
    return place[:, left : left + w].copy(), horizon


def _stranger(seed, rng):
    return _identity(seed, STRANGERS + int(rng.integers(STRANGERS)))


def _take_portrait(seed, identity, index, size, labeled):
    _check(size, seed=seed, identity=identity, index=index)
    if identity >= STRANGERS:
        raise ValueError(f'identity is {identity}; give less than {STRANGERS}')
    rng = np.random.default_rng((seed, identity, index, PERSON))
    number = camera_of(identity, index)
    camera, light = _camera(seed, number), draw_light(rng)
    who = _identity(seed, identity)
    h, w = size
    background, _ = _look(seed, number, size, rng)
    canvas = Canvas(background, labeled)
    height = min(h, 2.2 * w) * rng.uniform(0.8, 0.95) / who.body.stature
    top = rng.uniform(0.01, 0.06) * h
    if rng.random() < 0.2:  # close, the legs outside the image
        height *= rng.uniform(1.15, 1.6)
    pose = draw_pose(rng)
    length = height * who.body.stature
    foot = w * rng.uniform(0.4, 0.6), top + length * (0.86 if pose.seated else 1.0)
    figures = [Figure(who, pose, foot, height, camera.tilt)]
    if rng.random() < 0.16:  # another person, behind or in front
        beside = w * rng.choice((-1, 1)) * rng.uniform(0.35, 0.6)
        step = h * rng.choice((-1, 1)) * rng.uniform(0.02, 0.08)
        place = foot[0] + beside, foot[1] + step
        tall = height * (1 + 1.5 * step / h)
        other = Figure(
            _stranger(seed, rng), draw_pose(rng), place, tall, camera.tilt, 2
        )
        figures.insert(0 if step < 0 else 1, other)
    for figure in figures:
        figure.paint(canvas, light.side)
    if rng.random() < 0.22:
        put_in_front(rng, canvas)
    figures.sort(key=lambda figure: figure.number)
    softness = height / 180
    return _develop(canvas, softness, camera, light, rng, figures, number)


def _take_scene(seed, index, size, min_people, max_people, labeled):
    _check(size, seed=seed, index=index, min_people=min_people, max_people=max_people)
    if not min_people <= max_people <= 250:
        raise ValueError(
            f'min_people is {min_people} and max_people {max_people}; give numbers '
            'in ascending order, at most 250'
        )
    rng = np.random.default_rng((seed, 0, index, SCENE))
    number = int(rng.integers(NUM_CAMERAS))
    camera, light = _camera(seed, number), draw_light(rng)
    h, w = size
    background, horizon = _look(seed, number, size, rng)
    canvas = Canvas(background, labeled)
    eye_level = rng.uniform(0.7, 1.3)
    # On flat ground the horizon crosses everybody at the height of the camera. In a
    # crowd more people are far away than near.
    people = rng.integers(min_people, max_people + 1)
    near = rng.uniform(0, 1, people) ** (1 + people / 10)
    figures = []
    for place in np.sort(horizon + 0.16 + (0.89 - horizon) * near):
        foot = w * rng.uniform(0.03, 0.97), h * place
        height = h * (place - horizon) / eye_level
        who, pose = _stranger(seed, rng), draw_pose(rng)
        figure = Figure(who, pose, foot, height, 0.1, len(figures) + 1)
        figure.paint(canvas, light.side)
        figures.append(figure)
    return _develop(canvas, h / 250, camera, light, rng, figures, number)


def _develop(canvas, softness, camera, light, rng, figures, number):
    image = canvas.develop(softness, light.contrast)
    image = photograph(image, camera, light, rng)
    if canvas.labels is None:
        return LabeledImage(image, None, None, (), number)
    people = tuple(describe(figure, canvas.labels) for figure in figures)
    parts, instances = canvas.labels[..., 0].copy(), canvas.labels[..., 1].copy()
    return LabeledImage(image, parts, instances, people, number)


def _check(size, **numbers):
    if np.shape(size) != (2,) or min(size) < SMALLEST:
        raise ValueError(
            f'size is {size}; give (h, w) in pixels, at least {SMALLEST} each'
        )
    for name, number in numbers.items():
        if number < 0:
            raise ValueError(f'{name} is {number}; give 0 or more')
