"""Features of images: of a backbone, or without any network."""

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..data.views import Size
from ..models import SAIPViT

BATCH = 64
COLOUR_BINS = 4  # per colour
PIXELS = (8, 4)  # (h, w)


class Embedded(NamedTuple):
    """Features of N images."""

    image: Tensor
    """[N, D]"""
    patches: Tensor | None
    """[N, C, h, w]; None if not asked for."""


class Features(Protocol):
    """What is probed. Images are compared by the cosine of their features.

    For the baselines below the cosine was compared with the Euclidean distance, with
    and without centring, on drawn people, and what served them best was taken.
    """

    size: Size
    """(h, w) in pixels of the images that it takes."""
    has_patches: bool
    """Whether it has features of patches."""

    def __call__(self, images: Tensor, patches: bool = False) -> Embedded:
        """Features of RGB images, uint8 [B, 3, h, w]."""


class BackboneFeatures:
    """Features of a backbone.

    Of an image: its token after the last block and the final norm. Of a patch: its
    token half-way and its token at the end, one after the other.

    Args:
        backbone: A :class:`~saip_mm.models.saip_vit.SAIPViT`.
        mean: Per colour, in 0–255, as the backbone was trained with.
        std: Likewise.
    """

    has_patches = True

    def __init__(self, backbone: SAIPViT, mean: Tensor, std: Tensor) -> None:
        self.backbone = backbone
        self.mean, self.std = mean.view(3, 1, 1), std.view(3, 1, 1)
        self.size = tuple(
            side * backbone.patch_size for side in backbone.patch_resolution
        )

    def __call__(self, images: Tensor, patches: bool = False) -> Embedded:
        images = (images.to(self.mean) - self.mean) / self.std
        tokens = []
        # The last block's tokens are caught on their way: `encode` drops all but one,
        # and `forward` would compute everything again.
        block = self.backbone.layers[-1]
        handle = block.register_forward_hook(lambda *call: tokens.append(call[-1]))
        try:
            encoded = self.backbone.encode(images)
        finally:
            handle.remove()
        if not patches:
            return Embedded(encoded.image_token, None)
        grid = encoded.middle_map.shape[2:]
        last = self.backbone.ln1(tokens[0][:, 1:]).mT.unflatten(2, grid)
        return Embedded(encoded.image_token, torch.cat([encoded.middle_map, last], 1))


class BaselineFeatures:
    """Features of images without a network.

    Args:
        name: One of ``BASELINES``.
        size: (h, w) of the images.
    """

    has_patches = False

    def __init__(self, name: str, size: Size) -> None:
        self.describe = BASELINES[name]
        self.size = size

    def __call__(self, images: Tensor, patches: bool = False) -> Embedded:
        return Embedded(self.describe(images.float()), None)


def mean_colour(images: Tensor) -> Tensor:
    """Mean red, green and blue [B, 3]; their cosine does not depend on exposure."""
    return images.mean(dim=(2, 3))


def colour_histogram(images: Tensor) -> Tensor:
    """Joint histogram of red, green and blue with 4×4×4 bins [B, 64].

    Square roots of the shares of pixels, so that the cosine of two is the Bhattacharyya
    coefficient of their histograms.
    """
    bins = images.flatten(2).long() * COLOUR_BINS // 256
    places = bins.new_tensor([COLOUR_BINS**2, COLOUR_BINS, 1]).view(3, 1)
    joint = (bins * places).sum(dim=1)
    counts = images.new_zeros(len(images), COLOUR_BINS**3)
    counts.scatter_add_(1, joint, torch.ones_like(joint, dtype=counts.dtype))
    return (counts / joint.shape[1]).sqrt()


def shrunk_pixels(images: Tensor) -> Tensor:
    """The image shrunk to 8×4 pixels by averaging, less its mean [B, 96].

    The cosine of two is the correlation of their values.
    """
    small = interpolate(images, PIXELS, mode='area').flatten(1)
    return small - small.mean(dim=1, keepdim=True)


BASELINES = {
    'mean-colour': mean_colour,
    'histogram': colour_histogram,
    'pixels': shrunk_pixels,
}


@torch.no_grad()
def embed(
    features: Features,
    images: Iterable[np.ndarray],
    patches: bool = False,
    device: torch.device | str = 'cpu',
) -> Embedded:
    """Features of any number of images, kept on the CPU.

    Args:
        features: Of what.
        images: RGB, uint8 [h, w, 3] of ``features.size``.
        patches: Whether to keep features of patches as well.
        device: Where ``features`` works.
    """
    images = iter(images)
    parts = []
    while batch := list(islice(images, BATCH)):
        batch = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).to(device)
        parts.append([None if f is None else f.cpu() for f in features(batch, patches)])
    image, maps = zip(*parts, strict=True)
    return Embedded(torch.cat(image), torch.cat(maps) if patches else None)
