"""Features of the backbones of MMPretrain's other algorithms."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.utils import to_2tuple
from mmpretrain.models import BaseSelfSupervisor
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.registry import MODELS
from torch import Tensor

from ..checkpoints.backbone import Backbone, choose_backbone
from ..data.images import normalize
from ..data.views import Size
from ..models.weights import load_weights
from .features import Embedded

DEFAULT_SIZE = (256, 128)
# Of MMPretrain's configs, outside their model.
PREPROCESSOR = 'data_preprocessor'


def build_model(cfg: Config) -> BaseSelfSupervisor:
    """The model of a config, with the data preprocessor that MMEngine gives it."""
    init_default_scope('mmpretrain')
    outside = {name: cfg[name] for name in (PREPROCESSOR,) if name in cfg}
    return MODELS.build({**outside, **cfg.model})


def stock_model(cfg: Config, tensors: Mapping[str, Tensor]) -> BaseSelfSupervisor:
    """The model of a config with weights.

    Raises:
        ValueError: If the weights do not fit.
    """
    model = build_model(cfg)
    if not isinstance(model, BaseSelfSupervisor):
        raise ValueError(f'{type(model).__name__} is not a self-supervised algorithm')
    load_weights(model, tensors)
    return model.eval()


def stock_vit(model: BaseSelfSupervisor, checkpoint: Mapping) -> Backbone | None:
    """The backbone as one that SAIPViT can compute; None if it is another."""
    vit = model.backbone
    if not isinstance(vit, VisionTransformer) or vit.cls_token is None:
        return None
    facts = dict(grid=tuple(vit.patch_resolution))
    facts |= dict(num_heads=vit.arch_settings['num_heads'])
    try:
        found = replace(choose_backbone(checkpoint), **facts)
        found.build()
    except ValueError:  # for example, relative positions
        return None
    return found


class StockFeatures:
    """Features of any backbone: its last map and the mean over it, or its last token.

    Args:
        model: An algorithm of MMPretrain.
        dataset: Config of its training images. The size of their crops is that of the
            images to probe, unless the backbone states one.
    """

    def __init__(self, model: BaseSelfSupervisor, dataset: dict) -> None:
        self.model = model
        preprocessor = model.data_preprocessor
        self.mean, self.std = preprocessor.mean, preprocessor.std
        stated = [getattr(model.backbone, 'img_size', None), *_sizes(dataset)]
        sizes = [size for size in stated if size is not None]
        self.size: Size = to_2tuple(sizes[0] if sizes else DEFAULT_SIZE)
        blank = torch.zeros(1, 3, *self.size, device=self.mean.device)
        self.has_patches = self._last(blank).ndim == 4

    @torch.no_grad()
    def _last(self, images: Tensor) -> Tensor:
        """[B, C, h, w] or [B, C] for uint8 or float RGB images [B, 3, H, W]."""
        found = self.model.extract_feat(normalize(images, self.mean, self.std))
        while isinstance(found, list | tuple):
            found = found[-1]
        return found[:, 0] if found.ndim == 3 else found

    def __call__(self, images: Tensor, patches: bool = False) -> Embedded:
        last = self._last(images)
        image = last.mean(dim=(2, 3)) if last.ndim == 4 else last
        return Embedded(dict(image=image), last if patches else None)


def _sizes(setting: object) -> Iterator[object]:
    """Sizes of random crops in the config of a data set."""
    if isinstance(setting, dict):
        if str(setting.get('type')).endswith('RandomResizedCrop'):
            yield setting.get('scale')
        setting = setting.values()
    elif not isinstance(setting, list | tuple):
        return
    for each in setting:
        yield from _sizes(each)
