"""HAP: masked images of people, with body parts deciding the masks."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, get_rank
from mmengine.model import BaseDataPreprocessor
from mmpretrain.models import BaseSelfSupervisor
from mmpretrain.registry import MODELS
from torch import Tensor

from ..data.images import normalize
from .encoder import Encoder
from .matching import token_spread
from .saip_vit import SAIPViT, set_sine_positions


@MODELS.register_module()
class HAPDataPreprocessor(BaseDataPreprocessor):
    """Normalizes images.

    Args:
        mean, std: Per color (R, G, B), in 0–255.
    """

    def __init__(
        self,
        mean: Sequence[float] = (123.675, 116.28, 103.53),
        std: Sequence[float] = (58.395, 57.12, 57.375),
    ) -> None:
        super().__init__(non_blocking=True)
        self.register_buffer('mean', torch.tensor(mean).view(3, 1, 1))
        self.register_buffer('std', torch.tensor(std).view(3, 1, 1))

    def forward(self, data: dict, training: bool = False) -> dict:
        """Prepare a batch of :class:`~saip_mm.data.masked_view.ApplyMaskedView`."""
        inputs = dict(self.cast_data(data['inputs']))
        inputs['image'] = normalize(inputs['image'], self.mean, self.std)
        return dict(inputs=inputs, data_samples=None)


@MODELS.register_module()
class HAP(BaseSelfSupervisor):
    """Masked image modeling with a part prior and alignment (arXiv 2310.20695).

    Two masked copies of an image, drawn by ``DrawMaskedView``, are reconstructed, and a
    contrastive loss matches their class tokens among those of all images of the step.

    Args:
        backbone: A ``SAIPViT`` whose ``middle_block`` is its last block, with
            ``fixed_positions=True`` as in MAE.
        decoder: A ``CrossScaleReconstructionHead`` with ``anchor=False``. Its positions
            are fixed as well; its ``mask_ratio`` has no effect.
        align_weight: Factor of the alignment loss.
        temperature: Softmax temperature of the alignment loss.
        data_preprocessor: A ``HAPDataPreprocessor``.
    """

    def __init__(
        self,
        backbone: dict,
        decoder: dict,
        align_weight: float = 0.05,
        temperature: float = 0.2,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            backbone, data_preprocessor=data_preprocessor, init_cfg=init_cfg
        )
        self.decoder = MODELS.build(decoder)
        if not isinstance(self.backbone, SAIPViT):
            raise TypeError(
                f'HAP needs SAIPViT as its backbone, not {type(self.backbone).__name__}'
            )
        last = self.backbone.num_layers - 1
        if self.backbone.middle_block != last or self.decoder.anchor:
            raise ValueError(
                f'HAP decodes the last block: set model.backbone.middle_block={last} '
                'and model.decoder.anchor=False'
            )
        self.decoder.pos_embed.requires_grad_(False)
        self.align_weight = align_weight
        self.temperature = temperature
        # Not a submodule: its parameters are named `backbone.…`.
        self.__dict__['encoder'] = Encoder(self.backbone, self.backbone.ln1)

    def init_weights(self) -> None:
        super().init_weights()
        set_sine_positions(self.decoder.pos_embed, self.decoder.grid)

    def loss(self, inputs: dict[str, Tensor], data_samples: None = None) -> dict:
        """Compute the losses of one (micro-)batch.

        Args:
            inputs: ``image`` [B, 3, H, W], normalized; ``visible`` [B, 2, K], the
                patches that each mask keeps, as indices into the row-major grid.

        Returns:
            dict: ``loss_rec`` and ``loss_align``; for monitoring, ``feature_std``, the
            spread of the unit class tokens over the batch (0: all images alike).
        """
        images = inputs['image'].repeat(2, 1, 1, 1)
        visible = inputs['visible'].transpose(0, 1).flatten(0, 1)  # mask by mask
        encoded = self.encoder(images, visible, until='middle')
        grid = encoded.middle_map.shape[2:]
        mask = images.new_ones(len(images), grid.numel())
        mask = mask.scatter(1, visible, 0).unflatten(1, grid)
        prediction = self.decoder(None, encoded.middle_token, encoded.middle_map, mask)
        first, second = encoded.middle_token.chunk(2)
        return dict(
            loss_rec=self.decoder.loss(prediction, images, mask),
            loss_align=self.align_weight * self.align(first, second),
            feature_std=token_spread(first.detach()),
        )

    def align(self, first: Tensor, second: Tensor) -> Tensor:
        """Symmetric InfoNCE between two class tokens [B, C] of each image.

        Keys come from all processes and have no gradient. The cross entropies in nats
        are multiplied by twice the temperature, and the two directions added.
        """
        dtype = self.decoder.predict.weight.dtype
        tokens = [F.normalize(each.to(dtype), dim=1) for each in (first, second)]
        own = torch.arange(len(first), device=first.device) + len(first) * get_rank()
        with torch.autocast(first.device.type, enabled=False):
            logits = [
                queries @ torch.cat(all_gather(keys.detach())).T / self.temperature
                for queries, keys in (tokens, tokens[::-1])
            ]
        loss = sum(F.cross_entropy(each, own) for each in logits)
        return 2 * self.temperature * loss
