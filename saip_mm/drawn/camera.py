"""Cameras and light."""

import cv2
import numpy as np


class Camera:
    """Settings that all images of a camera share."""

    def __init__(self, rng: np.random.Generator):
        sharp = rng.random() < 0.6
        self.tilt = rng.uniform(0, 0.35)  # radians that it looks down
        # Of red, green, blue.
        self.gains = rng.uniform(0.97, 1.03) * rng.uniform(0.97, 1.03, 3)
        self.gamma = rng.uniform(0.93, 1.08)
        self.lift = rng.uniform(-3, 6)  # gray values added to black
        # Share of the pixels that are resolved.
        self.sharpness = 1.0 if sharp else rng.uniform(0.4, 0.75)
        self.blur = rng.uniform(-0.3, 0.9)  # sigma in pixels at 256 rows
        self.noise = rng.uniform(0.01, 0.06)


class Light:
    """Light of an image."""

    def __init__(self, rng: np.random.Generator):
        self.side = rng.uniform(-1, 1)  # -1 from the left, 1 from the right
        self.contrast = rng.uniform(0.5, 1.0)  # 0 on a dull day, 1 in the sun
        self.exposure = rng.uniform(0.98, 1.02)
        self.warmth = rng.uniform(0.99, 1.01)  # red over blue


def photograph(
    image: np.ndarray, camera: Camera, light: Light, rng: np.random.Generator
) -> np.ndarray:
    """Apply colors, resolution, focus and noise to an image, uint8 [h, w, 3]."""
    h, w = image.shape[:2]
    warm = np.array([light.warmth, 1.0, 1 / light.warmth])
    value = np.linspace(0, 1, 256)[:, None] ** camera.gamma
    curve = 255 * value * (light.exposure * warm * camera.gains) + camera.lift
    image = cv2.LUT(image, np.clip(curve, 0, 255).astype(np.uint8)[:, None])
    if camera.sharpness < 1:
        small = [max(round(side * camera.sharpness), 1) for side in (w, h)]
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (w, h), interpolation=cv2.INTER_LINEAR)
    sigma = camera.blur * h / 256
    if sigma > 0.25:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    noise = rng.integers(0, 256, image.shape, np.uint8)
    return cv2.addWeighted(image, 1, noise, camera.noise, -127.5 * camera.noise)
