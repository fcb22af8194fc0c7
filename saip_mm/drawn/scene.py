"""Images of one or several people, with or without labels."""

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from .body import Body, Pose
from .camera import Camera, Light, photograph
from .figure import Figure, Identity
from .person import Person
from .place import draw_background, put_in_front
from .tubes import Canvas
from .wardrobe import Outfit

IDENTITY, PERSON, SCENE, CAMERA, PLACE = 1, 2, 3, 4, 5  # streams of random numbers
SMALLEST = 16  # pixels; below, nothing of a person is left
NUM_CAMERAS = 6
NUM_PLACES = 8  # that a camera looks at
# Strangers in an image are numbered from here, above the people of any data set.
STRANGERS = 1 << 20


class Drawing(NamedTuple):
    """An image and, if it is labeled, everything known about it."""

    image: np.ndarray  # RGB, uint8 [h, w, 3]
    camera: int
    people: tuple[Person, ...] = ()
    parts: np.ndarray | None = None  # indices into ``PARTS``, uint8 [h, w]
    instances: np.ndarray | None = None  # uint8 [h, w]; i + 1 where people[i] is seen
    limbs: np.ndarray | None = None  # values of ``Limb``, uint8 [h, w]


def camera_of(identity: int, index: int) -> int:
    """Return the number of the camera of a person's image; cameras take turns."""
    return (identity + index) % NUM_CAMERAS


def draw_person(
    seed: int,
    identity: int,
    index: int,
    size: tuple[int, int] = (256, 128),
    labeled: bool = False,
) -> Drawing:
    """Draw an image of a person, who is the first of its people.

    The image depends on (seed, identity, index) only; the person on (seed, identity);
    camera and places on (seed, camera_of(identity, index)).

    Args:
        seed: Seed of the data set, not negative.
        identity: Which person, from 0 to 1,048,575.
        index: Which of the person's images, not negative.
        size: (h, w) in pixels, at least 16 each.
        labeled: Whether to label the image; its pixels are the same.

    Raises:
        ValueError: If a number is out of range or the size too small.
    """
    check(size, seed=seed, identity=identity, index=index)
    if identity >= STRANGERS:
        raise ValueError(f'identity is {identity}; give less than {STRANGERS}')
    rng = np.random.default_rng((seed, identity, index, PERSON))
    number = camera_of(identity, index)
    camera, light, background, _ = _look(seed, number, size, rng)
    canvas, who, (h, w) = Canvas(background, labeled), _identity(seed, identity), size
    height = min(h, 2.2 * w) * rng.uniform(0.8, 0.95) / who.body.stature
    top = rng.uniform(0.01, 0.06) * h
    if rng.random() < 0.2:  # close, the legs outside the image
        height *= rng.uniform(1.15, 1.6)
    pose = Pose(rng)
    length = height * who.body.stature
    foot = w * rng.uniform(0.4, 0.6), top + length * (0.86 if pose.seated else 1.0)
    figures = [Figure(who, pose, foot, height, camera.tilt)]
    if rng.random() < 0.16:  # another person, behind or in front
        beside = w * rng.choice((-1, 1)) * rng.uniform(0.35, 0.6)
        step = h * rng.choice((-1, 1)) * rng.uniform(0.02, 0.08)
        other, pose = _stranger(seed, rng), Pose(rng)
        place, tall = (foot[0] + beside, foot[1] + step), height * (1 + 1.5 * step / h)
        figures.append(Figure(other, pose, place, tall, camera.tilt, 2))
    for figure in sorted(figures, key=lambda figure: figure.foot[1]):
        figure.paint(canvas, light.side)
    if rng.random() < 0.22:
        put_in_front(rng, canvas)
    image = photograph(canvas.develop(height / 180, light.contrast), camera, light, rng)
    return _label(image, number, canvas, figures)


def draw_scene(
    seed: int,
    index: int,
    size: tuple[int, int] = (224, 224),
    max_people: int = 3,
    min_people: int = 0,
    labeled: bool = False,
) -> Drawing:
    """Draw a place with min_people to max_people people, ordered from far to near.

    Other arguments and errors are those of ``draw_person``.
    """
    check(size, seed=seed, index=index, min_people=min_people, max_people=max_people)
    if not min_people <= max_people <= 250:
        raise ValueError(
            f'min_people is {min_people} and max_people {max_people}; give numbers '
            'in ascending order, at most 250'
        )
    rng = np.random.default_rng((seed, 0, index, SCENE))
    number = int(rng.integers(NUM_CAMERAS))
    camera, light, background, horizon = _look(seed, number, size, rng)
    canvas, (h, w) = Canvas(background, labeled), size
    eye_level = rng.uniform(0.7, 1.3)
    # On flat ground the horizon crosses everybody at the height of the camera. In a
    # crowd more people are far away than near.
    people = rng.integers(min_people, max_people + 1)
    near = rng.uniform(0, 1, people) ** (1 + people / 10)
    figures = []
    for place in np.sort(horizon + 0.16 + (0.89 - horizon) * near):
        foot = w * rng.uniform(0.03, 0.97), h * place
        height = h * (place - horizon) / eye_level
        who, pose = _stranger(seed, rng), Pose(rng)
        figures.append(Figure(who, pose, foot, height, 0.1, len(figures) + 1))
        figures[-1].paint(canvas, light.side)
    image = photograph(canvas.develop(h / 250, light.contrast), camera, light, rng)
    return _label(image, number, canvas, figures)


def check(size: tuple[int, int], **numbers: int) -> None:
    """Raise a ValueError for a size that is too small or a negative number."""
    if np.shape(size) != (2,) or min(size) < SMALLEST:
        raise ValueError(
            f'size is {size}; give (h, w) in pixels, at least {SMALLEST} each'
        )
    check_numbers(0, **numbers)


def check_numbers(least: int, **numbers: int) -> None:
    """Raise a ValueError that names a number below the least."""
    for name, number in numbers.items():
        if number < least:
            raise ValueError(f'{name} is {number}; give {least} or more')


def _label(image, camera, canvas, figures):
    if canvas.labels is None:
        return Drawing(image, camera)
    people = tuple(Person(figure, canvas.labels) for figure in figures)
    return Drawing(image, camera, people, *cv2.split(canvas.labels))


# The last number of a seed is never 0: numpy's seeds (1, 2) and (1, 2, 0) are the same.


@lru_cache(4096)
def _identity(seed: int, number: int) -> Identity:
    rng = np.random.default_rng((seed, number, 0, IDENTITY))
    return Identity(number, Body(rng), Outfit(rng))


def _stranger(seed, rng):
    return _identity(seed, STRANGERS + int(rng.integers(STRANGERS)))


@lru_cache(64)
def _camera(seed: int, number: int) -> Camera:
    return Camera(np.random.default_rng((seed, number, 0, CAMERA)))


@lru_cache(2 * NUM_CAMERAS * NUM_PLACES)
def _place(seed: int, camera: int, number: int, size: tuple) -> tuple:
    """Return a place, twice as wide as an image, and its horizon."""
    rng = np.random.default_rng((seed, camera, number, PLACE))
    h, w = size
    horizon = rng.uniform(0.15, 0.5)
    return draw_background(rng, (h, 2 * w), horizon), horizon


def _look(seed, camera, size, rng):
    """Return a camera, light, a view of one of its places, and the horizon."""
    light, (h, w) = Light(rng), size
    place, horizon = _place(seed, camera, int(rng.integers(NUM_PLACES)), (h, w))
    left = rng.integers(w + 1)
    view = place[:, left : left + w].copy()
    return _camera(seed, camera), light, view, horizon
