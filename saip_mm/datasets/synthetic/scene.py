"""Backgrounds, the camera, and pictures of one or several people."""

import cv2
import numpy as np

from .body import draw_identity, draw_pose
from .figure import Figure
from .tubes import Canvas

IDENTITY, PERSON, SCENE = 1, 2, 3  # streams of random numbers
SMALLEST = 16  # pixels; below, nothing of a person is left


def draw_person(
    seed: int, identity: int, index: int, size: tuple[int, int] = (256, 128)
) -> np.ndarray:
    """Draw one image of one person.

    Everything follows from (seed, identity, index); the person only from (seed,
    identity).

    Args:
        seed: Of the whole data set, not negative.
        identity: Which person, not negative.
        index: Which of the person's images, not negative.
        size: (h, w) in pixels, at least 16 each.

    Returns:
        RGB image, uint8 [h, w, 3].

    Raises:
        ValueError: If a number is negative or the size too small.
    """
    _check(size, seed=seed, identity=identity, index=index)
    # The last number is never 0: numpy's seeds (1, 2) and (1, 2, 0) are the same.
    who = draw_identity(np.random.default_rng((seed, identity, 0, IDENTITY)))
    rng = np.random.default_rng((seed, identity, index, PERSON))
    h, w = size
    canvas = Canvas(draw_background(rng, size, horizon=rng.uniform(0.15, 0.5)))
    height = min(h, 2.2 * w) * rng.uniform(0.78, 0.95) / who.stature
    top = rng.uniform(0.01, 0.06) * h
    if rng.random() < 0.2:  # close, the legs outside the image
        height *= rng.uniform(1.15, 1.6)
    foot = w * rng.uniform(0.4, 0.6), top + height * who.stature
    light, tilt = rng.uniform(-1, 1), rng.uniform(0, 0.3)
    Figure(who, draw_pose(rng), foot, height, tilt).paint(canvas, light)
    return photograph(canvas.develop(height / 180), rng)


def draw_scene(
    seed: int, index: int, size: tuple[int, int] = (224, 224), max_people: int = 3
) -> np.ndarray:
    """Draw a place with up to max_people people, who belong to no identity.

    Args and errors as in draw_person.

    Returns:
        RGB image, uint8 [h, w, 3].
    """
    _check(size, seed=seed, index=index, max_people=max_people)
    rng = np.random.default_rng((seed, 0, index, SCENE))
    h, w = size
    horizon = rng.uniform(0.2, 0.5)
    canvas = Canvas(draw_background(rng, size, horizon))
    light, eye_level = rng.uniform(-1, 1), rng.uniform(0.7, 1.3)
    # On flat ground the horizon crosses everybody at the height of the camera.
    places = np.sort(rng.uniform(horizon + 0.2, 1.05, rng.integers(max_people + 1)))
    for place in places:
        foot = w * rng.uniform(0.05, 0.95), h * place
        height = h * (place - horizon) / eye_level
        figure = Figure(draw_identity(rng), draw_pose(rng), foot, height, tilt=0.1)
        figure.paint(canvas, light)
    return photograph(canvas.develop(h / 250), rng)


def _check(size, **numbers):
    if np.shape(size) != (2,) or min(size) < SMALLEST:
        raise ValueError(
            f'size is {size}; give (h, w) in pixels, at least {SMALLEST} each'
        )
    for name, number in numbers.items():
        if number < 0:
            raise ValueError(f'{name} is {number}; give 0 or more')


def draw_background(
    rng: np.random.Generator, size: tuple[int, int], horizon: float
) -> np.ndarray:
    """Draw an empty place; horizon is its height from the top, of the image height.

    Returns:
        RGB image, uint8 [h, w, 3].
    """
    h, w = size
    level = int(h * horizon)
    image = np.empty((h, w, 3), np.uint8)
    kind = rng.integers(4)
    ground_level = level
    if kind == 0:
        _street(rng, image, level)
    elif kind == 1:
        _park(rng, image, level)
    elif kind == 2:
        ground_level = int(h * rng.uniform(0.6, 0.85))
        _room(rng, image, ground_level)
    else:
        ground_level = int(h * rng.uniform(0.0, 0.9))
        _clutter(rng, image)
    _texture(rng, image, cell=24, strength=40)
    _texture(rng, image[ground_level:], cell=5, strength=24)
    return image


def _tone(rng, low=60, high=210, tint=22):
    """A greyish colour."""
    return np.clip(rng.uniform(low, high) + rng.uniform(-tint, tint, 3), 0, 255)


def _gradient(image, top, bottom):
    h, w = image.shape[:2]
    if h:
        ends = np.clip([[top], [bottom]], 0, 255).astype(np.uint8)
        image[:] = cv2.resize(ends, (w, h), interpolation=cv2.INTER_LINEAR)


def _texture(rng, image, cell, strength):
    """Add smooth noise with blotches of about cell pixels."""
    h, w = image.shape[:2]
    if not h:
        return
    coarse = rng.integers(0, strength, (h // cell + 2, w // cell + 2), np.uint8)
    noise = cv2.merge([cv2.resize(coarse, (w, h), interpolation=cv2.INTER_CUBIC)] * 3)
    image[:] = cv2.addWeighted(image, 1, noise, 1, -strength / 2)


def _box(image, left, top, right, bottom, colour):
    corners = (int(left), int(top)), (int(right), int(bottom))
    cv2.rectangle(image, *corners, tuple(map(float, colour)), cv2.FILLED)


def _ground(rng, image, level):
    """Road or pavement from the horizon down, with lines that meet there."""
    h, w = image.shape[:2]
    tone = _tone(rng, 80, 180, 14)
    _gradient(image[level:], tone + 12, tone - 12)
    vanishing = (int(w * rng.uniform(-0.5, 1.5)), level)
    line = tuple(map(float, np.clip(tone + rng.uniform(-40, 60), 0, 255)))
    for x in w * np.linspace(-1.5, 2.5, rng.integers(2, 9)):
        cv2.line(image, vanishing, (int(x), h), line, 1, cv2.LINE_AA)
    _box(image, 0, level, w, level + 0.02 * h, tone * 0.75)


def _street(rng, image, level):
    h, w = image.shape[:2]
    sky = np.array([150, 180, 215]) + rng.uniform(-40, 35)
    _gradient(image[:level], sky - 20, sky + 5)
    _ground(rng, image, level)
    left = -rng.uniform(0, 0.3) * w
    while left < w:
        width, roof = rng.uniform(0.25, 0.8) * w, rng.uniform(-0.3, 0.7) * level
        wall = _tone(rng)
        glass = wall * 0.45 if rng.random() < 0.7 else np.minimum(wall + 50, 255)
        _box(image, left, roof, left + width, level, wall)
        step = rng.uniform(0.05, 0.11) * h
        for y in np.arange(roof + 0.4 * step, level - step, step):
            for x in np.arange(left + 0.3 * step, left + width - 0.7 * step, step):
                _box(image, x, y, x + 0.45 * step, y + 0.6 * step, glass)
        left += width
    if rng.random() < 0.5:  # a parked car
        x, y, size = w * rng.uniform(-0.2, 0.8), level + 0.03 * h, 0.13 * h
        paint = _tone(rng, 30, 220, 60)
        _box(image, x + size * 0.5, y - 0.6 * size, x + size * 1.8, y, paint * 0.6)
        _box(image, x, y - 0.1 * size, x + size * 2.4, y + size * 0.5, paint)
        for wheel in (0.5, 1.9):
            centre = int(x + wheel * size), int(y + 0.5 * size)
            cv2.circle(image, centre, int(size * 0.24), (25, 25, 28), cv2.FILLED)


def _park(rng, image, level):
    h, w = image.shape[:2]
    sky = np.array([160, 190, 220]) + rng.uniform(-50, 25)
    _gradient(image[:level], sky - 25, sky + 10)
    grass = np.array([96, 120, 62]) + rng.uniform(-30, 30, 3)
    if rng.random() < 0.4:
        grass = np.array([176, 160, 122]) + rng.uniform(-25, 25, 3)  # sand, a path
    _gradient(image[level:], grass + 15, grass - 20)
    hedge = np.array([58, 84, 48]) + rng.uniform(-20, 25, 3)
    for x in np.arange(0, 1.2, 0.16) * w:
        radius = int(h * rng.uniform(0.04, 0.12))
        centre = int(x), level - radius // 3
        cv2.circle(image, centre, radius, hedge + rng.uniform(-12, 12), cv2.FILLED)
    for _ in range(rng.integers(4)):
        x, root = w * rng.uniform(0, 1), level + h * rng.uniform(0, 0.15)
        crown, width = rng.uniform(0.0, 0.2) * h, rng.uniform(0.015, 0.035) * h
        _box(image, x - width, crown, x + width, root, (82, 64, 50))
        for _ in range(5):
            centre = x + rng.uniform(-0.12, 0.12) * h, crown + rng.uniform(0, 0.12) * h
            radius = int(h * rng.uniform(0.05, 0.1))
            leaf = hedge + rng.uniform(-20, 30)
            cv2.circle(image, tuple(map(int, centre)), radius, leaf, cv2.FILLED)


def _room(rng, image, level):
    h, w = image.shape[:2]
    wall, floor = _tone(rng, 110, 225, 16), _tone(rng, 70, 190, 14)
    _gradient(image[:level], wall - 10, wall + 8)
    _gradient(image[level:], floor + 5, floor - 15)
    _box(image, 0, level - 0.03 * h, w, level, wall * 0.7)
    for _ in range(rng.integers(1, 5)):
        x, thing = w * rng.uniform(-0.2, 0.9), rng.integers(4)
        wide, colour = w * rng.uniform(0.2, 0.5), _tone(rng, 50, 220, 50)
        if thing == 0:  # a door
            _box(image, x, level - 0.62 * h, x + wide, level, colour)
            _box(
                image,
                x + 0.06 * wide,
                level - 0.6 * h,
                x + 0.94 * wide,
                level,
                colour * 0.85,
            )
        elif thing == 1:  # a picture or a window
            y, tall = rng.uniform(0.02, 0.3) * h, rng.uniform(0.1, 0.25) * h
            _box(image, x, y, x + wide, y + tall, colour * 0.5)
            _box(image, x + 2, y + 2, x + wide - 2, y + tall - 2, _tone(rng, 90, 240))
        elif thing == 2:  # shelves
            _box(image, x, level - 0.5 * h, x + wide, level, colour * 0.6)
            for y in np.arange(level - 0.47 * h, level - 0.1 * h, 0.11 * h):
                _box(image, x + 2, y, x + wide - 2, y + 0.08 * h, _tone(rng, 40, 220))
        else:  # a table
            y = level - rng.uniform(0.05, 0.15) * h
            _box(image, x, y, x + wide, y + 0.025 * h, colour)
            for leg in (0.05, 0.85):
                foot = x + leg * wide
                _box(image, foot, y, foot + 0.03 * h, level + 0.1 * h, colour * 0.7)


def _clutter(rng, image):
    """Blocks and discs without meaning, out of focus."""
    h, w = image.shape[:2]
    _gradient(image, _tone(rng), _tone(rng))
    for _ in range(rng.integers(4, 14)):
        x, y, size = w * rng.uniform(), h * rng.uniform(), h * rng.uniform(0.03, 0.2)
        colour = _tone(rng, 30, 230, 50)
        if rng.random() < 0.6:
            tall = size * rng.uniform(0.3, 2.5)
            _box(image, x - size / 2, y - tall / 2, x + size / 2, y + tall / 2, colour)
        else:
            cv2.circle(image, (int(x), int(y)), int(size / 2), colour, cv2.FILLED)
    image[:] = cv2.blur(image, (5, 5))


def photograph(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Take a picture: exposure, contrast, colour cast, focus, resolution, noise."""
    h, w = image.shape[:2]
    gain = rng.uniform(0.75, 1.2) * rng.uniform(0.92, 1.08, 3)
    value = np.linspace(0, 1, 256)[:, None] ** rng.uniform(0.8, 1.25)
    curve = np.clip(255 * value * gain + rng.uniform(-5, 15), 0, 255).astype(np.uint8)
    image = cv2.LUT(image, curve[:, None])
    if rng.random() < 0.2:
        small = max(w * 3 // 5, 1), max(h * 3 // 5, 1)
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (w, h), interpolation=cv2.INTER_LINEAR)
    sigma = rng.uniform(-0.5, 0.9)
    if sigma > 0.25:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    noise = rng.integers(0, 256, image.shape, np.uint8)
    strength = rng.uniform(0.01, 0.1)
    return cv2.addWeighted(image, 1, noise, strength, -127.5 * strength)
