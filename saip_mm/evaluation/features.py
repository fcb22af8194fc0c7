"""Features of images: of a backbone, or of baselines without a network.

Features embed RGB images, uint8 [B, 3, h, w], of their ``size`` (h, w). Images are
compared by the cosine. For baselines, cosine and Euclidean distance, with and without
centering, were compared on drawn people; each baseline uses its best variant.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmengine.utils import to_2tuple
from mmpretrain.models import BaseSelfSupervisor
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from ..apis import describe_stripes
from ..data.configs import parts_of, type_name
from ..data.images import normalize
from ..data.views import Size

BINS = 4  # of the histogram, per color
PIXELS = (8, 4)  # (h, w)
STRIPES = 4  # of the last map
COLOR_STRIPES = 6
DEFAULT_SIZE = (256, 128)  # (h, w)
PATCH_SIZE = 16


class Embedded(NamedTuple):
    """Features of N images."""

    tokens: dict[str, Tensor]
    """[N, D] each, by name: ``image``; ``image+stripes`` if there is a map; and from
    :class:`BackboneFeatures` also ``middle``, ``mean`` and ``image+mean``."""
    patches: Tensor | None = None
    """[N, C, h, w]; None if not requested."""

    @property
    def image(self) -> Tensor:
        """[N, D]"""
        return self.tokens['image']


class BackboneFeatures:
    """Features of a backbone.

    The tokens of an image are the image token, the middle token, the mean of the last
    map (the image token again if there is no class token), and the image token with
    this mean or with the means over ``STRIPES`` stripes. Features of patches are the
    middle map and the last map, concatenated.

    Args:
        backbone: A backbone for SAIP, such as ``SAIPViT``.
        mean, std: [3] normalization of RGB colors in 0–255.
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
        for name, count in (('image+mean', 1), ('image+stripes', STRIPES)):
            found[name] = describe_stripes(image, encoded.last_map, count)
        if not patches:
            return Embedded(found)
        grid = encoded.middle_map.shape[2:]
        last = interpolate(encoded.last_map, grid)  # the same, or of stride 32
        return Embedded(found, torch.cat([encoded.middle_map, last], dim=1))


class StockFeatures:
    """Features of any backbone of MMPretrain: its last map and the mean over it, or its
    last token.

    Images are probed at the size that the backbone states, or else at the size of the
    crops in the config of the training images, or else at ``DEFAULT_SIZE``.
    """

    def __init__(self, model: BaseSelfSupervisor, dataset: dict) -> None:
        self.model = model
        self.mean, self.std = model.data_preprocessor.mean, model.data_preprocessor.std
        crops = (
            part['scale']
            for part in parts_of(dataset)
            if type_name(part).endswith('RandomResizedCrop')
        )
        stated = getattr(model.backbone, 'img_size', None)
        self.size = stated_size(stated or next(crops, None))
        with torch.no_grad():
            blank = torch.zeros(1, 3, *self.size, device=self.mean.device)
            self.has_patches = self._last(blank).ndim == 4

    def _last(self, images: Tensor) -> Tensor:
        """[B, C, h, w] or [B, C] for uint8 or float RGB images [B, 3, H, W]."""
        found = self.model.extract_feat(normalize(images, self.mean, self.std))
        while isinstance(found, list | tuple):
            found = found[-1]
        return found[:, 0] if found.ndim == 3 else found

    def __call__(self, images: Tensor, patches: bool = False) -> Embedded:
        last = self._last(images)
        if last.ndim == 2:
            return Embedded(dict(image=last))
        image = last.mean(dim=(2, 3))
        striped = describe_stripes(image, last, STRIPES)
        tokens = {'image': image, 'image+stripes': striped}
        return Embedded(tokens, last if patches else None)


def stated_size(stated: int | Sequence[int] | None) -> Size:
    """(h, w) of images as a config states it, by default 256×128."""
    return tuple(to_2tuple(stated or DEFAULT_SIZE))


class BaselineFeatures:
    """Features without a network: one of ``BASELINES``. Only ``'mean-color'`` has
    features of patches."""

    def __init__(
        self, name: str, size: Size = DEFAULT_SIZE, patch_size: int = PATCH_SIZE
    ) -> None:
        self.function = BASELINES[name]
        self.has_patches = self.function is mean_color
        self.size, self.patch_size = size, patch_size

    def __call__(self, images: Tensor, patches: bool = False) -> Embedded:
        images = images.float()
        colors = avg_pool2d(images, self.patch_size) if patches else None
        return Embedded(dict(image=self.function(images)), colors)


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
    """Histograms of six horizontal stripes, as in :func:`color_histogram` [B, 384]."""
    stripes = images.tensor_split(COLOR_STRIPES, dim=2)
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
