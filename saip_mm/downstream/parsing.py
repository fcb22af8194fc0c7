"""Human parsing: CIHP, your own label maps, their checks, and flips that swap sides."""

import os
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.datasets import BaseSegDataset, LIPDataset
from mmseg.models import SegTTAModel
from mmseg.registry import DATASETS, MODELS, TRANSFORMS
from mmseg.structures import SegDataSample
from PIL import Image
from torch import nn

from ..data.folders import find_images

MASKS = 20  # at most so many label maps are read in advance


@MODELS.register_module()
class ParsingTTAModel(SegTTAModel):
    """Average predictions over views, swapping left and right labels of flipped views.

    MMSegmentation flips predictions back in space only, so that a left arm in a flipped
    view would count as a right arm.

    Args:
        module: The segmentor.
        swap_seg_labels: Pairs of labels that a horizontal flip exchanges, as in
            ``RandomFlip``.
        data_preprocessor: As in :class:`mmengine.model.BaseTTAModel`.
    """

    def __init__(
        self,
        module: dict | nn.Module,
        swap_seg_labels: Sequence[tuple[int, int]],
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(module, data_preprocessor)
        self.swap_seg_labels = swap_seg_labels

    def merge_preds(
        self, data_samples_list: list[list[SegDataSample]]
    ) -> list[SegDataSample]:
        """Merge the predictions for the views of each image."""
        for view in (view for views in data_samples_list for view in views):
            if view.metainfo.get('flip'):
                logits = view.seg_logits.data  # [classes, h, w]
                order = list(range(len(logits)))
                for left, right in self.swap_seg_labels:
                    order[left], order[right] = right, left
                view.seg_logits.data = logits[order]
        return super().merge_preds(data_samples_list)


@TRANSFORMS.register_module()
class CheckLabels(BaseTransform):
    """Check that a label map matches its image and the classes.

    MMSegmentation resizes image and map together regardless of their sizes and wraps
    labels above 255. Labels without a class give wrong results on a CPU and crash on a
    GPU without naming the file. Must follow ``LoadAnnotations`` in every pipeline; does
    nothing where MMSegmentation's inference removes that step.

    Args:
        num_classes: Valid labels are 0 to ``num_classes - 1``, and 255 for ignored
            pixels.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes

    def transform(self, results: dict) -> dict:
        """Check ``results['gt_seg_map']``, uint8 [h, w]; returns ``results`` unchanged.

        Raises:
            ValueError: If its size differs from the image's, or it has more than two
                dimensions or unknown labels; names the file.
        """
        if 'gt_seg_map' not in results:
            return results
        labels, path = results['gt_seg_map'], results['seg_map_path']
        with Image.open(path) as file:
            if file.mode not in ('1', 'L', 'P'):  # more than one byte per pixel
                labels = np.asarray(file)
        if labels.ndim != 2:
            raise ValueError(
                f'{path}: a label map has one number per pixel, but this one has '
                f'{labels.shape[-1]}; save it as grayscale or palette PNG'
            )
        height, width = results['ori_shape'][:2]
        if labels.shape != (height, width):
            raise ValueError(
                f'{path}: is {labels.shape[0]}x{labels.shape[1]} pixels (h x w), but '
                f'{results["img_path"]} is {height}x{width} once its EXIF orientation '
                'is applied; use the label map of this image, at its size and upright'
            )
        found = np.unique(labels)
        unknown = found[((found < 0) | (found >= self.num_classes)) & (found != 255)]
        if len(unknown):
            raise ValueError(
                f'{path}: labels {unknown.tolist()} are neither 0 to '
                f'{self.num_classes - 1} nor 255 (ignored). Is it a map of these '
                'classes, not of instances or colors?'
            )
        return results


@DATASETS.register_module()
class CIHPDataset(LIPDataset):
    """Crowd Instance-level Human Parsing (arXiv 1808.00157) as semantic parsing.

    Labels are LIP's, except 10, which is the skin of the torso. ``Training`` and
    ``Validation`` contain images in ``Images/*.jpg``, labels in ``Category_ids/*.png``.
    """

    METAINFO = dict(
        LIPDataset.METAINFO,
        classes=tuple(
            'Torso-skin' if name == 'Jumpsuits' else name
            for name in LIPDataset.METAINFO['classes']
        ),
    )


@DATASETS.register_module()
class LabelMaps(BaseSegDataset):
    """Images of any format, each with a label map of the same name.

    Without an ``ann_file``, MMSegmentation's ``BaseSegDataset`` silently leaves out
    images that do not end in `.jpg`, such as `.JPG`. Arguments are the same.

    Raises:
        ValueError: If the maps have no labels but 0 and 255 (ignored), as in black and
            white: a model would learn to answer 0 everywhere.
    """

    def load_data_list(self) -> list[dict]:
        entries = self._find_pairs()
        paths = [x['seg_map_path'] for x in entries if x.get('seg_map_path')]
        found = set()
        for path in paths[:: len(paths) // MASKS + 1]:
            with suppress(OSError), Image.open(path) as file:
                found.update(np.unique(file).tolist())
        if 255 in found and found <= {0, 255}:
            raise ValueError(
                f'{paths[0]} and others are black and white, but 255 means that a '
                'pixel is ignored: save the numbers of the classes (0, 1, …)'
            )
        return entries

    def _find_pairs(self) -> list[dict]:
        if self.ann_file:
            return super().load_data_list()
        images, maps = (self.data_prefix[k] for k in ('img_path', 'seg_map_path'))
        return [
            dict(
                img_path=os.path.join(images, name),
                seg_map_path=os.path.join(
                    maps, os.path.splitext(name)[0] + self.seg_map_suffix
                ),
                label_map=self.label_map,
                reduce_zero_label=self.reduce_zero_label,
                seg_fields=[],
            )
            for name in find_images(images)
        ]
