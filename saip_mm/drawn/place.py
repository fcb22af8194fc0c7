"""Backgrounds of drawn images, and things in front of people."""

import cv2
import numpy as np

from .tubes import NEUTRAL, Canvas


def draw_background(
    rng: np.random.Generator, size: tuple[int, int], horizon: float
) -> np.ndarray:
    """Draw an empty place, RGB uint8 [h, w, 3].

    horizon: distance from the top, relative to the height.
    """
    h, w = size
    image = np.empty((h, w, 3), np.uint8)
    place = (_street, _park, _room, _clutter)[rng.integers(4)]
    ground = place(rng, image, int(h * horizon))
    _texture(rng, image, cell=24, strength=40)
    _texture(rng, image[ground:], cell=5, strength=24)
    # Haze: the background is paler than the people.
    clear = rng.uniform(0.2, 0.4)
    return cv2.addWeighted(image, clear, image, 0, (1 - clear) * rng.uniform(138, 152))


def _tone(rng, low=60, high=210, tint=22):
    """A grayish color."""
    return np.clip(rng.uniform(low, high) + rng.uniform(-tint, tint, 3), 0, 255)


def _gradient(image, top, bottom):
    h, w = image.shape[:2]
    if h:
        ends = np.clip([[top], [bottom]], 0, 255).astype(np.uint8)
        image[:] = cv2.resize(ends, (w, h), interpolation=cv2.INTER_LINEAR)


def _texture(rng, image, cell, strength):
    """Add smooth noise with blotches of about cell pixels."""
    h, w = image.shape[:2]
    if h:
        noise = rng.integers(0, strength, (h // cell + 2, w // cell + 2), np.uint8)
        noise = cv2.resize(noise, (w, h), interpolation=cv2.INTER_CUBIC)
        image[:] = cv2.addWeighted(image, 1, cv2.merge([noise] * 3), 1, -strength / 2)


def _box(image, left, top, right, bottom, color):
    corners = (int(left), int(top)), (int(right), int(bottom))
    cv2.rectangle(image, *corners, tuple(map(float, color)), cv2.FILLED)


def _disc(image, x, y, radius, color):
    cv2.circle(image, (int(x), int(y)), int(radius), color, cv2.FILLED)


def _street(rng, image, level):
    h, w = image.shape[:2]
    sky = np.array([150, 180, 215]) + rng.uniform(-40, 35)
    _gradient(image[:level], sky - 20, sky + 5)
    tone = _tone(rng, 80, 180, 14)
    _gradient(image[level:], tone + 12, tone - 12)
    vanishing = (int(w * rng.uniform(-0.5, 1.5)), level)
    line = tuple(map(float, np.clip(tone + rng.uniform(-40, 60), 0, 255)))
    for x in w * np.linspace(-1.5, 2.5, rng.integers(2, 9)):
        cv2.line(image, vanishing, (int(x), h), line, 1, cv2.LINE_AA)
    _box(image, 0, level, w, level + 0.02 * h, tone * 0.75)
    left = -rng.uniform(0, 0.3) * w
    while left < w:  # houses
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
            center = x + wheel * size, y + 0.5 * size
            _disc(image, *center, size * 0.24, (25, 25, 28))
    return level


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
        _disc(image, x, level - radius // 3, radius, hedge + rng.uniform(-12, 12))
    for _ in range(rng.integers(4)):  # trees
        x, root = w * rng.uniform(0, 1), level + h * rng.uniform(0, 0.15)
        crown, width = rng.uniform(0.0, 0.2) * h, rng.uniform(0.015, 0.035) * h
        _box(image, x - width, crown, x + width, root, (82, 64, 50))
        for _ in range(5):
            center = x + rng.uniform(-0.12, 0.12) * h, crown + rng.uniform(0, 0.12) * h
            radius = h * rng.uniform(0.05, 0.1)
            _disc(image, *center, radius, hedge + rng.uniform(-20, 30))
    return level


def _room(rng, image, level):
    h, w = image.shape[:2]
    level = int(h * rng.uniform(0.6, 0.85))
    wall, floor = _tone(rng, 110, 225, 16), _tone(rng, 70, 190, 14)
    _gradient(image[:level], wall - 10, wall + 8)
    _gradient(image[level:], floor + 5, floor - 15)
    _box(image, 0, level - 0.03 * h, w, level, wall * 0.7)
    for _ in range(rng.integers(1, 5)):
        x, thing = w * rng.uniform(-0.2, 0.9), rng.integers(4)
        wide, color = w * rng.uniform(0.2, 0.5), _tone(rng, 50, 220, 50)
        end = x + wide
        if thing == 0:  # a door
            _box(image, x, level - 0.62 * h, end, level, color)
            left, right = x + 0.06 * wide, x + 0.94 * wide
            _box(image, left, level - 0.6 * h, right, level, color * 0.85)
        elif thing == 1:  # a picture or a window
            y, tall = rng.uniform(0.02, 0.3) * h, rng.uniform(0.1, 0.25) * h
            _box(image, x, y, end, y + tall, color * 0.5)
            _box(image, x + 2, y + 2, end - 2, y + tall - 2, _tone(rng, 90, 240))
        elif thing == 2:  # shelves
            _box(image, x, level - 0.5 * h, end, level, color * 0.6)
            for y in np.arange(level - 0.47 * h, level - 0.1 * h, 0.11 * h):
                _box(image, x + 2, y, end - 2, y + 0.08 * h, _tone(rng, 40, 220))
        else:  # a table
            y = level - rng.uniform(0.05, 0.15) * h
            _box(image, x, y, end, y + 0.025 * h, color)
            for foot in (x + 0.05 * wide, x + 0.85 * wide):
                _box(image, foot, y, foot + 0.03 * h, level + 0.1 * h, color * 0.7)
    return level


def _clutter(rng, image, level):
    """Paint blocks and discs, out of focus."""
    h, w = image.shape[:2]
    level = int(h * rng.uniform(0.0, 0.9))
    _gradient(image, _tone(rng), _tone(rng))
    for _ in range(rng.integers(4, 14)):
        x, y, size = w * rng.uniform(), h * rng.uniform(), h * rng.uniform(0.03, 0.2)
        color = _tone(rng, 30, 230, 50)
        if rng.random() < 0.6:
            tall = size * rng.uniform(0.3, 2.5)
            _box(image, x - size / 2, y - tall / 2, x + size / 2, y + tall / 2, color)
        else:
            _disc(image, x, y, size / 2, color)
    image[:] = cv2.blur(image, (5, 5))
    return level


def put_in_front(rng: np.random.Generator, canvas: Canvas) -> None:
    """Paint something that hides a part of the image: a post, a box, a bush, rails."""
    h, w = canvas.image.shape[:2]
    color = tuple(_tone(rng, 40, 200, 40).tolist())
    side = rng.integers(2)
    kind = rng.integers(4)
    if kind == 0:  # a post or a trunk, from top to bottom
        x, wide = w * rng.uniform(0.1, 0.9), w * rng.uniform(0.06, 0.18)
        pieces = [_rectangle(x - wide / 2, -1, x + wide / 2, h + 1)]
    elif kind == 1:  # a box, a wall or a car, from below or from a side
        if rng.random() < 0.6:
            pieces = [_rectangle(-1, h * rng.uniform(0.6, 0.85), w + 1, h + 1)]
        else:
            x, y = w * rng.uniform(0.6, 0.8), h * rng.uniform(0.2, 0.7)
            piece = _rectangle(x, y, w + 1, h + 1)
            pieces = [piece * (-1, 1) + (w, 0) if side else piece]
    elif kind == 2:  # a bush
        color = tuple((np.array([70, 100, 56]) + rng.uniform(-25, 25, 3)).tolist())
        angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        leaves = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        middle = w * (0.1 + 0.8 * side)
        pieces = [
            (middle + w * rng.uniform(-0.3, 0.3), h * rng.uniform(0.75, 1.05))
            + leaves * (h * rng.uniform(0.05, 0.14))
            for _ in range(7)
        ]
    else:  # a railing
        y, thick = h * rng.uniform(0.55, 0.8), h * 0.012
        pieces = [_rectangle(-1, y, w + 1, y + 2 * thick)]
        gap = w * rng.uniform(0.12, 0.3)
        for x in np.arange(rng.uniform(-gap, 0), w, gap):
            pieces.append(_rectangle(x, y, x + thick, h + 1))
    for piece in pieces:
        shade = rng.uniform(0.85, 1.1) if kind == 2 else 1.0
        canvas.color(piece, tuple(min(c * shade, 255) for c in color))
        canvas.light(piece, NEUTRAL)


def _rectangle(left, top, right, bottom):
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
