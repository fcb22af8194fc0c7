"""Cameras and light."""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np


@dataclass(frozen=True)
class Camera:
    """What all images of a camera share."""

    tilt: float  # radians that it looks down
    gains: tuple[float, float, float]  # of red, green, blue
    gamma: float
    lift: float  # gray values added to black
    sharpness: float  # share of the pixels that are resolved
    blur: float  # sigma in pixels at 256 rows; none below 0.25
    noise: float


def draw_camera(rng: np.random.Generator) -> Camera:
    """Draw a camera."""
    sharp = rng.random() < 0.6
    return Camera(
        tilt=rng.uniform(0, 0.35),
        gains=tuple((rng.uniform(0.97, 1.03) * rng.uniform(0.97, 1.03, 3)).tolist()),
        gamma=rng.uniform(0.93, 1.08),
        lift=rng.uniform(-3, 6),
        sharpness=1.0 if sharp else rng.uniform(0.4, 0.75),
        blur=rng.uniform(-0.3, 0.9),
        noise=rng.uniform(0.01, 0.06),
    )


class Light(NamedTuple):
    """Light of an image."""

    side: float  # -1 from the left, 1 from the right
    contrast: float  # 0 on a dull day, 1 in the sun
    exposure: float
    warmth: float  # red over blue


def draw_light(rng: np.random.Generator) -> Light:
    """Draw the light of an image."""
    return Light(
        side=rng.uniform(-1, 1),
        contrast=rng.uniform(0.5, 1.0),
        exposure=rng.uniform(0.98, 1.02),
        warmth=rng.uniform(0.99, 1.01),
    )


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
