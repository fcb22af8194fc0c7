"""Features of images: of a backbone, or of baselines without a network."""

import os
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ..data.images import normalize, read_batches
from ..data.views import Size

BINS = 4  # of the histogram, per color
PIXELS = (8, 4)  # (h, w)
STRIPES = 6


class Embedded(NamedTuple):
    """Features of N images."""

    tokens: dict[str, Tensor]
    """[N, D] each, by name: ``image`` and, of a backbone, ``middle``, ``mean``, and
    ``image+mean``, both at unit length."""
    patches: Tensor | None = None
    """[N, C, h, w]; None if not requested."""

    @property
    def image(self) -> Tensor:
        """[N, D]"""
        return self.tokens['image']


class Features(Protocol):
    """Features to probe. Images are compared by the cosine of their features.

    For baselines, cosine and Euclidean distance, with and without centering, were
    compared on drawn people; each uses the best of them.
    """

    size: Size
    """(h, w) of input images in pixels."""
    has_patches: bool

    def __call__(self, images: Tensor, patches: bool = False) -> Embedded:
        """Embed RGB images, uint8 [B, 3, h, w]."""


class BackboneFeatures:
    """Features of a backbone.

    The features of an image are its token at the end, its middle token, and the mean of
    its last map, which is the first again if there is no class token. The feature of a
    patch concatenates the middle map and the last one.

    Args:
        backbone: A backbone for SAIP, such as ``SAIPViT``.
        mean: [3] normalization of RGB colors in 0–255.
        std: [3]
    """

    has_patches = True

    def __init__(self, backbone: nn.Module, mean: Tensor, std: Tensor) -> None:
        self.backbone = backbone
        self.mean, self.std = mean.view(3, 1, 1), std.view(3, 1, 1)
        self.size = tuple(
            side * backbone.patch_size for side in backbone.patch_resolution
        )

    def __call__(self, images: Tensor, patches: bool = False) -> Embedded:
        images = normalize(images, self.mean, self.std)
        encoded = self.backbone.encode(images, until='maps')
        image, mean = encoded.image_token, encoded.last_map.mean(dim=(2, 3))
        found = dict(image=image, middle=encoded.middle_token, mean=mean)
        unit = [nn.functional.normalize(each, dim=1) for each in (image, mean)]
        found['image+mean'] = torch.cat(unit, dim=1)
        if not patches:
            return Embedded(found)
        grid = encoded.middle_map.shape[2:]
        last = interpolate(encoded.last_map, grid)  # the same, or of stride 32
        return Embedded(found, torch.cat([encoded.middle_map, last], dim=1))


class BaselineFeatures:
    """Features without a network.

    Args:
        name: One of ``BASELINES``.
        size: (h, w) of the images in pixels.
    """

    has_patches = False

    def __init__(self, name: str, size: Size) -> None:
        self.function = BASELINES[name]
        self.size = size

    def __call__(self, images: Tensor, patches: bool = False) -> Embedded:
        return Embedded(dict(image=self.function(images.float())))


def mean_color(images: Tensor) -> Tensor:
    """Mean red, green and blue [B, 3]; their cosine does not depend on exposure."""
    return images.mean(dim=(2, 3))


def color_histogram(images: Tensor) -> Tensor:
    """Joint histogram of red, green and blue with 4×4×4 bins [B, 64].

    Square roots of the shares of pixels, so that the cosine of two is the Bhattacharyya
    coefficient of their histograms.
    """
    bins = images.flatten(2).long() * BINS // 256
    joint = (bins * bins.new_tensor([BINS**2, BINS, 1]).view(3, 1)).sum(dim=1)
    counts = images.new_zeros(len(images), BINS**3)
    counts.scatter_add_(1, joint, torch.ones_like(joint, dtype=counts.dtype))
    return (counts / joint.shape[1]).sqrt()


def striped_histogram(images: Tensor) -> Tensor:
    """Histograms of six horizontal stripes, as of :func:`color_histogram` [B, 384]."""
    stripes = images.tensor_split(STRIPES, dim=2)
    return torch.cat([color_histogram(stripe) for stripe in stripes], dim=1)


def small_pixels(images: Tensor) -> Tensor:
    """The image averaged down to 8×4 pixels, minus its mean [B, 96].

    The cosine of two is their correlation.
    """
    small = interpolate(images, PIXELS, mode='area').flatten(1)
    return small - small.mean(dim=1, keepdim=True)


BASELINES = {
    'mean-color': mean_color,
    'histogram': color_histogram,
    'stripes': striped_histogram,
    'pixels': small_pixels,
}


@torch.no_grad()
def embed(
    features: Features,
    images: Iterable[str | os.PathLike | np.ndarray],
    patches: bool = False,
    device: torch.device | str = 'cpu',
) -> Embedded:
    """Embed any number of images; results are on the CPU.

    Args:
        features: Features to compute.
        images: Files, or RGB images, uint8 [h, w, 3]; resized to ``features.size``.
        patches: Whether to return features of patches as well.
        device: Device of ``features``.
    """
    tokens, maps = defaultdict(list), []
    for batch in read_batches(images, features.size):
        found = features(batch.to(device), patches)
        for name, token in found.tokens.items():
            tokens[name].append(token.cpu())
        if patches:
            maps.append(found.patches.cpu())
    joined = {name: torch.cat(parts) for name, parts in tokens.items()}
    return Embedded(joined, torch.cat(maps) if patches else None)
