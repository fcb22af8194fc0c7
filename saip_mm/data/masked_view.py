"""One view of a person and two masks of it, for HAP (arXiv 2310.20695)."""

from typing import NamedTuple

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS

from .apply_views import cut
from .draw_views import draw_crop
from .part_masks import draw_part_mask
from .pixels import to_tensor
from .views import Crop, Range, Size, check_options


class MaskedView(NamedTuple):
    """A crop of the image and two masks of it.

    Attributes:
        size: (h, w) in pixels to which the crop is resized.
        keypoints: float32 [17, 3] of the view, x, y in pixels, v > 0 inside; None if
            unknown.
        masks: bool [2, h, w] in patches, 1 = removed.
    """

    crop: Crop
    size: Size
    flip: bool
    keypoints: np.ndarray | None
    masks: np.ndarray


@TRANSFORMS.register_module()
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

    needs_scene = False

    def __init__(
        self,
        size: Size = (256, 128),
        patch_size: int = 16,
        mask_ratio: float = 0.5,
        area: Range = (0.8, 1.0),
        aspect: Range = (0.375, 2 / 3),
        flip: float = 0.5,
    ) -> None:
        self.size, self.patch_size = tuple(size), patch_size
        self.mask_ratio = mask_ratio
        self.area, self.aspect, self.flip = tuple(area), tuple(aspect), flip
        check_options(self)
        if any(side < patch_size or side % patch_size for side in self.size):
            raise ValueError(
                f'size={self.size} should be (height, width) in positive multiples of '
                f'patch_size={patch_size}'
            )
        if not 0 < mask_ratio < 1:
            raise ValueError(f'mask_ratio={mask_ratio} is not between 0 and 1')

    def transform(self, results: dict) -> dict:
        """Draw ``results['view']``."""
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
        """Return the model's inputs of one sample.

        Returns:
            ``inputs``, a dict of tensors: ``image`` uint8 [3, h, w], and ``visible``
            int64 [2, K], for each mask the patches that it keeps.
        """
        view = results['view']
        image = cut(to_tensor(results['image']), view.crop, view.size, view.flip)
        visible = np.stack([np.flatnonzero(~mask) for mask in view.masks])
        return dict(inputs=dict(image=image, visible=torch.from_numpy(visible)))


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
