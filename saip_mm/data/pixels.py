"""Resizing and normalization of images."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tvf


def to_tensor(image: np.ndarray) -> Tensor:
    """Convert uint8 ``[h, w, 3]`` to uint8 ``[3, h, w]``."""
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)


def resize(images: Tensor, size: Sequence[int]) -> Tensor:
    """Resize uint8 ``[..., 3, h, w]`` to ``(height, width)``: bicubic, antialiased."""
    return tvf.resize(images, list(size), InterpolationMode.BICUBIC, antialias=True)


def normalize(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Normalize images, in the dtype and on the device of the mean.

    Args:
        images: ``[..., 3, h, w]``, 0–255, of any dtype.
        mean: ``[3, 1, 1]``, 0–255.
        std: ``[3, 1, 1]``.
    """
    return (images.to(mean) - mean) / std
