"""One view of a person and two masks of it, for HAP (arXiv 2310.20695).

Masks prefer body parts to blocks, and blocks to other patches.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS

from .apply_views import cut
from .draw_views import draw_crop
from .images import to_tensor
from .views import Crop, Range, Size, check_options, check_size

# Pairs of COCO keypoints. Mirrored images keep the names of their keypoints: every part
# is as likely as its mirror image.
PARTS = dict(
    face=((0, 1), (0, 2), (1, 2), (1, 3), (2, 4)),
    left_arm=((5, 7), (7, 9)),
    right_arm=((6, 8), (8, 10)),
    left_leg=((11, 13), (13, 15)),
    right_leg=((12, 14), (14, 16)),
    upper_body=((6, 11), (5, 12)),
)
NUM_KEYPOINTS = 17
MAX_PART_SHARE = 0.3
MIN_BLOCK = 12  # patches
MIN_ASPECT = 0.3
ATTEMPTS = 10


class MaskedView(NamedTuple):
    """A crop of the image and two masks of it."""

    crop: Crop
    size: Size  # (h, w) in pixels to which the crop is resized
    flip: bool
    keypoints: np.ndarray | None  # float32 [17, 3] of the view: x, y, v > 0 inside
    masks: np.ndarray  # bool [2, h, w] in patches, 1 = removed


@TRANSFORMS.register_module()
@dataclass(eq=False)
class DrawMaskedView(BaseTransform):
    """Transform that draws ``results['view']``, a :class:`MaskedView`.

    Reads the shape of ``results['image']`` and ``results['keypoints']``, and draws from
    ``results['rng']``.

    Args:
        size: (h, w) of the view in pixels.
        patch_size: Side of a patch in pixels.
        mask_ratio: Share of patches that each mask removes.
        area: Range of the crop's share of the image.
        aspect: Range of the crop's width / height.
        flip: Probability of a horizontal flip.
    """

    needs_scene: ClassVar[bool] = False
    size: Size = (256, 128)
    patch_size: int = 16
    mask_ratio: float = 0.5
    area: Range = (0.8, 1.0)
    aspect: Range = (0.375, 2 / 3)
    flip: float = 0.5

    def __post_init__(self) -> None:
        self.size = tuple(self.size)
        check_options(self)
        check_size('size', self.size, self.patch_size)
        if not 0 < self.mask_ratio < 1:
            raise ValueError(f'mask_ratio={self.mask_ratio} is not between 0 and 1')

    def transform(self, results: dict) -> dict:
        rng = results['rng']
        crop = draw_crop(rng, results['image'].shape[:2], self.area, self.aspect)
        flip = bool(rng.random() < self.flip)
        keypoints = results['keypoints']
        if keypoints is not None:
            keypoints = move_keypoints(keypoints, crop, self.size, flip)
        grid = tuple(side // self.patch_size for side in self.size)
        masks = [
            draw_part_mask(rng, grid, self.mask_ratio, keypoints, self.patch_size)
            for _ in range(2)
        ]
        results['view'] = MaskedView(crop, self.size, flip, keypoints, np.stack(masks))
        return results


@TRANSFORMS.register_module()
class ApplyMaskedView(BaseTransform):
    """Transform that makes the view recorded in ``results['view']``."""

    def transform(self, results: dict) -> dict:
        """Return ``inputs``, a dict of tensors.

        These are ``image`` uint8 [3, h, w], and ``visible`` int64 [2, K], the patches
        that each mask keeps.
        """
        view = results['view']
        image = cut(results['image'], view.crop, view.size, view.flip)
        visible = np.stack([np.flatnonzero(~mask) for mask in view.masks])
        return dict(
            inputs=dict(image=to_tensor(image), visible=torch.from_numpy(visible))
        )


def move_keypoints(
    keypoints: np.ndarray, crop: Crop, size: Size, flip: bool
) -> np.ndarray:
    """Keypoints [K, 3] (x, y, v) of an image, in a view of it; v = 0 outside."""
    height, width = size
    x = (keypoints[:, 0] - crop.left) * (width / crop.width)
    y = (keypoints[:, 1] - crop.top) * (height / crop.height)
    x = width - x if flip else x
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return np.stack([x, y, keypoints[:, 2] * inside], axis=1)


def draw_part_mask(
    rng: np.random.Generator,
    grid: Size,
    ratio: float,
    keypoints: np.ndarray | None,
    patch_size: int,
) -> np.ndarray:
    """Draw which patches of a person to remove.

    A random number of parts, in random order, each contribute up to 30 % of their
    patches; the others come from blocks. A shortage or an excess is made up at random.

    Args:
        rng: Generator.
        grid: (h, w) in patches.
        ratio: Share of patches to remove; a fraction of a patch is rounded up.
        keypoints: float [17, 3] of the image, COCO's: x, y in pixels, and v > 0 where
            known; None if the person is unknown.
        patch_size: Side of a patch in pixels.

    Returns:
        bool [h, w]; ``h * w - int(h * w * (1 - ratio))`` are True.
    """
    patches = math.prod(grid)
    count = patches - int(patches * (1 - ratio))
    priority = rng.random(patches)  # breaks ties
    priority[draw_blocks(rng, grid, count).ravel()] += 2
    if keypoints is not None:
        parts = part_patches(keypoints, grid, patch_size)
        chosen = rng.permutation(len(PARTS))
        chosen = [parts[i] for i in chosen if len(parts[i])]
        for rank, part in enumerate(chosen[: rng.integers(len(PARTS) + 1)]):
            removed = rng.permutation(part)
            removed = removed[: int(len(part) * rng.uniform(0, MAX_PART_SHARE))]
            priority[removed] = 100 - rank + rng.random(len(removed))
    mask = np.zeros(patches, bool)
    mask[np.argsort(-priority)[:count]] = True
    return mask.reshape(grid)


def draw_blocks(rng: np.random.Generator, grid: Size, count: int) -> np.ndarray:
    """Draw overlapping rectangles of at most ``count`` patches, as in BEiT.

    Stops before ``count`` if ten rectangles in a row do not fit.

    Returns:
        bool [h, w]
    """
    mask, (rows, columns) = np.zeros(grid, bool), grid
    while left := count - int(mask.sum()):
        for _ in range(ATTEMPTS):
            area = rng.uniform(*sorted((MIN_BLOCK, left)))
            aspect = math.exp(rng.uniform(math.log(MIN_ASPECT), -math.log(MIN_ASPECT)))
            height = round(math.sqrt(area * aspect))
            width = round(math.sqrt(area / aspect))
            if height >= rows or width >= columns:
                continue
            top = rng.integers(rows - height + 1)
            start = rng.integers(columns - width + 1)
            block = mask[top : top + height, start : start + width]
            if 0 < block.size - block.sum() <= left:
                block[:] = True
                break
        else:
            break
    return mask


def part_patches(
    keypoints: np.ndarray, grid: Size, patch_size: int
) -> list[np.ndarray]:
    """Patches of each of the ``PARTS``: indices into the row-major grid, ascending.

    A part is the union of the boxes around its limbs of which both ends are known.
    """
    columns, rows = (keypoints[:, :2].T // patch_size).astype(int)
    known, found = keypoints[:, 2] > 0, []
    for limbs in PARTS.values():
        part = np.zeros(grid, bool)
        for ends in map(list, limbs):
            if known[ends].all():
                (top, bottom), (left, right) = sorted(rows[ends]), sorted(columns[ends])
                part[top : bottom + 1, left : right + 1] = True
        found.append(np.flatnonzero(part))
    return found
