"""Pretrained backbones from Python: load one, and turn images into features."""

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence, Sized
from typing import NamedTuple

import numpy as np
import PIL.Image
import torch
from mmengine.utils import ProgressBar, to_2tuple
from torch import Tensor, nn

from .checkpoints.backbone import choose_backbone
from .checkpoints.files import open_checkpoint
from .data.images import normalize, read_batches

Image = str | os.PathLike | np.ndarray | PIL.Image.Image
MANY = 1000  # number of images for which progress is shown
DARK = 10  # more than the largest value of normalized images


class ImageFeatures(NamedTuple):
    """Features of B images."""

    image: Tensor
    """[B, C] of whole images: the class token after the final norm, or the mean of the
    last map."""
    patches: Tensor
    """[B, C, h, w] of their patches: the last map, of stride ``patch_size``, or 32 for
    a CSPNeXt."""


class PretrainedBackbone(nn.Module):
    """A backbone with normalization, for RGB images in 0–255.

    Args:
        backbone: A backbone for SAIP, such as ``SAIPViT``.
        mean, std: Per color (R, G, B), in 0–255.

    Attributes:
        img_size: (h, w) in pixels of the position embeddings, or of the training
            images.
    """

    checked = False  # whether the range of images was checked, which is done once

    def __init__(
        self, backbone: nn.Module, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.img_size = tuple(backbone.img_size)
        self.register_buffer('mean', torch.tensor(mean).view(3, 1, 1))
        self.register_buffer('std', torch.tensor(std).view(3, 1, 1))

    def _apply(self, fn: Callable, recurse: bool = True) -> 'PretrainedBackbone':
        exact = self.mean, self.std
        super()._apply(fn, recurse)
        if self.mean.dtype.itemsize < 4:
            # Rounded to bfloat16, they alone would change features by 7 %.
            self.mean, self.std = (each.to(self.mean.device) for each in exact)
        return self

    def forward(self, images: Tensor) -> ImageFeatures:
        """Features of images.

        Args:
            images: [B, 3, H, W], RGB, 0–255, of any type; H and W whole numbers of
                patches, not necessarily those of ``img_size``. (A ViT pads others at
                the bottom and on the right.)
        """
        # PyTorch before 2.3 cannot tell that it is compiling.
        compiling = getattr(torch.compiler, 'is_compiling', bool)()
        if not (compiling or self.checked or images.is_meta or not images.numel()):
            self.checked = True
            # Features of normalized images are finite, and almost the same for all.
            if images.is_floating_point() and (largest := images.max().item()) < DARK:
                warnings.warn(
                    f'the largest value of these images is {largest:.3g}: '
                    'load_backbone gives a network for RGB images in 0–255, which it '
                    'normalizes itself; call its .backbone for images that are '
                    'normalized already',
                    stacklevel=2,
                )
        images = normalize(images, self.mean, self.std)
        images = images.to(next(self.backbone.parameters()).dtype)
        encoded = self.backbone.encode(images, until='maps')
        return ImageFeatures(encoded.image_token, encoded.last_map)


def load_backbone(
    path: str | os.PathLike,
    role: str | None = None,
    device: torch.device | str = 'cpu',
) -> PretrainedBackbone:
    """Load a backbone, ready to embed images.

    Args:
        path: ``'saip-small'`` or ``'saip-vit-tiny'``, weights in the package; or an
            exported or converted backbone (.pth or .safetensors), a training
            checkpoint, or a work directory, which means its latest checkpoint.
        role: ``'teacher'`` or ``'student'`` of a training checkpoint; by default the
            teacher, which is the one to use.
        device: Device of the backbone.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file cannot be read safely or has no complete backbone.
    """
    with open_checkpoint(path) as (_, checkpoint):
        backbone = choose_backbone(checkpoint, role)
        network = PretrainedBackbone(backbone.build(), backbone.mean, backbone.std)
    return network.to(device).eval()


def describe_stripes(image: Tensor, patches: Tensor, count: int) -> Tensor:
    """Features [B, C (1 + count)] of images and of their stripes, both of unit length.

    Stripes show what a person wears, and where.

    Args:
        image: [B, C]
        patches: [B, C, h, w], averaged over each stripe.
        count: Number of horizontal stripes of equal height.
    """
    means = nn.functional.adaptive_avg_pool2d(patches, (count, 1)).flatten(1)
    unit = [nn.functional.normalize(each, dim=1) for each in (image, means)]
    return torch.cat(unit, dim=1)


def embed(
    backbone: PretrainedBackbone,
    images: Iterable[Image] | np.ndarray,
    patches: bool = False,
    img_size: int | tuple[int, int] | None = None,
    batch_size: int = 64,
    stripes: int = 0,
) -> Tensor:
    """Features of any number of images, computed on the backbone's device.

    Args:
        backbone: From :func:`load_backbone`.
        images: Files, RGB images, uint8 [H, W, 3], or Pillow's, of any sizes; a
            generator is read one batch ahead.
        patches: Whether to return features of patches instead of whole images.
        img_size: (h, w) in pixels, in whole patches, to which images are resized
            (bicubic, antialiased, without keeping the aspect ratio), or the side of a
            square; by default that of the backbone.
        batch_size: Number of images per forward pass.
        stripes: Number of horizontal stripes to add, as in :func:`describe_stripes`.

    Returns:
        On the CPU, [N, C]; for patches [N, C, h, w]; with stripes [N, C (1 + stripes)].

    Raises:
        ImageError: If a file cannot be read.
        TypeError: If ``backbone`` is not from :func:`load_backbone`, ``images`` is a
            single image, or an element is not an image.
        ValueError: If a number is invalid, or the backbone is in training mode.
    """
    if not isinstance(backbone, PretrainedBackbone):
        kind = type(backbone).__name__
        raise TypeError(f'embed takes a backbone from load_backbone, not a {kind}')
    if backbone.backbone.training:  # batch norms would learn from the images
        raise ValueError('the backbone is in training mode: call backbone.eval() first')
    img_size = _whole_patches(backbone, img_size)
    single = isinstance(images, str | bytes | os.PathLike | PIL.Image.Image)
    if single or (isinstance(images, np.ndarray) and images.ndim == 3):
        raise TypeError('embed takes a list of images: put a single image in a list')
    if stripes < 0 or (stripes and patches):
        raise ValueError(f'stripes={stripes}: give 0 or more, and no patches=True')
    if batch_size < 1:
        raise ValueError(f'batch_size={batch_size} should be at least 1')
    total = len(images) if isinstance(images, Sized) else 0
    bar = ProgressBar(total, file=sys.stderr) if total >= MANY else None

    @torch.no_grad()
    def features_of(batch: Tensor) -> Tensor:
        found = backbone(batch.to(backbone.mean.device))
        chosen = found.patches if patches else found.image
        return (describe_stripes(*found, stripes) if stripes else chosen).cpu()

    features = []
    for batch in read_batches(images, img_size, batch_size):
        features.append(features_of(batch))
        if bar:
            bar.update(len(batch))
    return torch.cat(features or [features_of(torch.zeros(1, 3, *img_size).byte())[:0]])


def _whole_patches(
    backbone: PretrainedBackbone, img_size: int | tuple[int, int] | None
) -> tuple[int, int]:
    img_size = tuple(to_2tuple(backbone.img_size if img_size is None else img_size))
    patch = backbone.backbone.patch_size
    if len(img_size) != 2 or any(side < patch or side % patch for side in img_size):
        raise ValueError(
            f'img_size={img_size} is not (h, w) in whole patches of {patch}'
        )
    return img_size
