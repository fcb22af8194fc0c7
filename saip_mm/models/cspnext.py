"""CSPNeXt; needs MMDetection and is imported by configs, not by ``saip_mm``."""

from collections.abc import Mapping

from mmpretrain.registry import MODELS
from torch import Tensor

try:
    from mmdet.models.backbones import CSPNeXt
except ImportError as error:
    raise ImportError(
        f"SAIPCSPNeXt is MMDetection's CSPNeXt, which cannot be imported ({error}): "
        'install MMDetection, for example with `tools/install.sh complete`'
    ) from error

from .pooled import PooledBackbone, count_modules


@MODELS.register_module()
class SAIPCSPNeXt(PooledBackbone, CSPNeXt):
    """MMDetection's CSPNeXt (arXiv 2212.07784), unchanged, for SAIP.

    The stride-16 stage gives the middle map; the mean of the stride-32 map is the image
    token. Odd sizes are rounded up: 112 pixels have 7 patches of 16, and 4 columns at
    stride 32.

    Args:
        *args, **kwargs: As for :class:`mmdet.models.backbones.CSPNeXt`. CSPNeXt-S has
            ``widen_factor=0.5`` and ``deepen_factor=0.33``.
        img_size: As for :class:`~saip_mm.models.pooled.PooledBackbone`.
    """

    middle_step = 3

    @staticmethod
    def config_of(tensors: Mapping[str, Tensor], num_heads: None = None) -> dict:
        """Arguments of the CSPNeXt-P5 with these tensors; others keep their defaults.

        Raises:
            KeyError: If a tensor that determines them is missing.
        """
        return dict(
            # Widths are rounded down: the widest stage gives the most exact factor.
            widen_factor=len(tensors['stage4.0.conv.weight']) / 1024,
            deepen_factor=count_modules(tensors, 'stage2.1.blocks.') / 6,
            out_indices=(4,),
        )

    @staticmethod
    def levels_of(config: dict) -> dict[int, tuple[int, int]]:
        """Index in ``out_indices`` and channels of the maps, by stride."""
        width = config['widen_factor']
        return {2 << i: (i, int(width * (64 << i))) for i in range(5)}

    @property
    def embed_dims(self) -> int:
        """Channels of the last map and of the image token."""
        return self.stage4[-1].final_conv.conv.out_channels
