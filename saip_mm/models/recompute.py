"""Activation checkpointing."""

from functools import partial

from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from torch import nn
from torch.utils.checkpoint import checkpoint


def recompute_blocks(model: nn.Module) -> None:
    """Keep only the inputs of MMPretrain's transformer blocks for the backward pass.

    MMEngine's ``activation_checkpointing`` does so with reentrant autograd, which fails
    in distributed training if a block is used more than once in a step.
    """
    for block in model.modules():
        if isinstance(block, TransformerEncoderLayer):
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)
