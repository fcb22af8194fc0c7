"""Images of people for the pipelines of MMPretrain."""

import random

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadPersonImage(BaseTransform):
    """Transform that replaces ``LoadImageFromFile`` in pipelines of MMPretrain.

    Their random transforms draw from the global generators of Python, NumPy and
    PyTorch. This one seeds them, so that a sample is a function of its key.
    """

    def transform(self, results: dict) -> dict:
        """Return ``img``, BGR uint8 [h, w, 3], and what is known about it.

        Args:
            results: As of :meth:`saip_mm.data.PeopleDataset.sample`.
        """
        seed = int(results['rng'].integers(2**32))
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        size = results['image'].shape[:2]
        return dict(
            img=np.ascontiguousarray(results['image'][..., ::-1]),
            img_path=results['source'],
            img_shape=size,
            ori_shape=size,
        )
