"""Application of drawn views to pixels, with OpenCV.

Functions work on arrays [h, w, 3]. Colors are computed in uint16, which saturates, and
blur in float32; both are rounded to uint8 once. Only integers are summed, so that
results do not depend on the number of threads.
"""

import math

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS
from torch import Tensor
from torch.nn.functional import interpolate

from .images import contiguous
from .views import Colors, Crop, Size, View

LEVEL = 257  # levels of uint16 in one of uint8
# Matrices of colors. OpenCV is slow for diagonal ones, hence 2e-7 elsewhere.
SAME = np.eye(3, 4) + 2e-7
GRAY = np.tile([0.2989, 0.587, 0.114, 0.0], (3, 1))  # torchvision's


def cut(image: np.ndarray, crop: Crop, size: Size, flip: bool) -> np.ndarray:
    """Crop and resize an image: uint8 [h, w, 3] -> uint8 [*size, 3]"""
    rows = slice(crop.top, crop.top + crop.height)
    view = image[rows, crop.left : crop.left + crop.width]
    view = resize_array(view, size)
    return cv2.flip(view, 1) if flip else view


def resize_array(image: np.ndarray, size: Size) -> np.ndarray:
    """Resize like :func:`~saip_mm.data.images.resize`: [h, w, 3] -> [*size, 3]"""
    # Without torchvision's checks, which take as long for small images, and with
    # channels last: half the time.
    images = torch.from_numpy(contiguous(image))[None].permute(0, 3, 1, 2)
    images = interpolate(images, size, mode='bicubic', antialias=True)
    return images[0].permute(1, 2, 0).numpy()


def recolor(image: np.ndarray, colors: Colors) -> np.ndarray:
    """Apply color jitter like torchvision's ``ColorJitter``, then grayscale.

    Args:
        image: uint16 [h, w, 3], in 1 / LEVEL.
    """
    for name, value in colors.jitter:
        if name == 'hue':
            image = shift_hue(image, value)
            continue
        # Blend with black, with the mean gray or with the grayscale image.
        mix = value * SAME
        if name == 'contrast':
            mix[:, 3] = (1 - value) * GRAY[0, :3] @ cv2.mean(image)[:3]
        elif name == 'saturation':
            mix += (1 - value) * GRAY
        image = cv2.transform(image, mix)
    return cv2.transform(image, GRAY) if colors.gray else image


def shift_hue(image: np.ndarray, turns: float) -> np.ndarray:
    """Shift the hues of an image, uint16 [h, w, 3], like torchvision's
    ``adjust_hue``."""
    hsv = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2HSV)
    hsv[..., 0] += 360 * (turns % 1)
    return (cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) + np.float32(0.5)).astype(np.uint16)


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Apply Gaussian blur with a kernel cut off at 3 sigma and reflected borders.

    Args:
        image: float32 [h, w, 3]
        sigma: Standard deviation in pixels.
    """
    height, width = image.shape[:2]
    radius = math.ceil(3 * sigma)
    kernel = [2 * min(radius, side - 1) + 1 for side in (width, height)]
    return cv2.GaussianBlur(image, kernel, sigma, borderType=cv2.BORDER_REFLECT_101)


def paste(scene: np.ndarray, person: np.ndarray, place: Size, opacity: float) -> None:
    """Blend a person into a scene, in place.

    Args:
        scene: uint8 [H, W, 3]
        person: uint8 [h, w, 3]
        place: (top, left) in the scene.
        opacity: Weight of the person.
    """
    (top, left), (height, width) = place, person.shape[:2]
    region = scene[top : top + height, left : left + width]
    region[:] = cv2.addWeighted(person, opacity, region, 1 - opacity, 0)


@TRANSFORMS.register_module()
class ApplyViews(BaseTransform):
    """Transform that makes the views recorded in ``results['views']``."""

    def transform(self, results: dict) -> dict:
        """Return the model's inputs of one sample.

        Args:
            results: ``image`` and ``scene``, RGB uint8 [height, width, 3], and
                ``views``, a :class:`~saip_mm.data.views.Views`.

        Returns:
            ``inputs``, a dict of tensors: ``globals`` uint8 [2, 3, H, W], ``locals``
            uint8 [n, 3, h, w], ``roi`` and ``inst`` uint8 [3, h, w], ``scene`` uint8
            [3, S, T], ``scene_masks`` (of inst, roi) bool [2, S / patch, T / patch],
            ``csr_noise`` float32 [H / patch, W / patch]. Views that were not drawn are
            missing.
        """
        views = results['views']
        image = results['image']
        globals_ = [make_view(image, view) for view in views.globals]
        inputs = dict(
            globals=_stack(globals_), csr_noise=torch.from_numpy(views.csr_noise)
        )
        if views.roi:
            roi = make_view(image, views.roi)
            inst = resize_array(globals_[0], views.roi.size)
            inputs['locals'] = _stack([make_view(image, view) for view in views.locals])
            inputs['roi'], inputs['inst'] = _stack([roi, inst])
        if views.scene:
            scene = make_view(results['scene'], views.scene)
            for person, place in zip((inst, roi), views.places, strict=True):
                paste(scene, person, place, views.opacity)
            inputs['scene'] = _stack([scene])[0]
            inputs['scene_masks'] = torch.from_numpy(views.scene_masks)
        return dict(inputs=inputs)


def make_view(image: np.ndarray, view: View) -> np.ndarray:
    """Make a view of an image: uint8 [height, width, 3] -> uint8 [h, w, 3]"""
    pixels = cut(image, view.crop, view.size, view.flip)
    values = np.multiply(pixels, np.uint16(LEVEL), dtype=np.uint16)
    values = recolor(values, view.colors)
    if view.blur is not None:
        values = blur(values.astype(np.float32), view.blur)
    pixels = cv2.convertScaleAbs(values, alpha=1 / LEVEL)
    if view.solarize is None:
        return pixels
    return np.where(pixels >= view.solarize, 255 - pixels, pixels)


def _stack(views: list[np.ndarray]) -> Tensor:
    """Views uint8 [h, w, 3] -> uint8 [n, 3, h, w]"""
    height, width = views[0].shape[:2]
    planes = np.empty((len(views), 3, height, width), np.uint8)
    for view, planes_of_view in zip(views, planes, strict=True):
        cv2.split(view, list(planes_of_view))
    return torch.from_numpy(planes)
