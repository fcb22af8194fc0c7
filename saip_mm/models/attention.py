"""Transformer blocks: fast bfloat16 attention on CPUs, its maps, one token's output."""

from functools import partial

import torch
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from mmpretrain.models.utils import MultiheadAttention
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

from .encoder import AttentionMaps


def transformer_blocks(number: int, embed_dims: int, num_heads: int) -> nn.ModuleList:
    """Blocks of MMPretrain, whose MLPs have four times the channels."""
    return nn.ModuleList(
        TransformerEncoderLayer(
            embed_dims, num_heads, 4 * embed_dims, norm_cfg=dict(type='LN', eps=1e-6)
        )
        for _ in range(number)
    )


def attend(query: Tensor, key: Tensor, value: Tensor, dropout_p: float = 0.0) -> Tensor:
    """Scaled dot-product attention, [B, heads, N, d] each.

    With gradients, PyTorch's CPU kernel for bfloat16 takes 2 to 5 times as long as
    plain matrix products.
    """
    if query.device.type != 'cpu' or query.dtype != torch.bfloat16 or dropout_p:
        return scaled_dot_product_attention(query, key, value, dropout_p=dropout_p)
    scores = query * query.shape[-1] ** -0.5 @ key.mT
    return scores.softmax(dim=-1) @ value


def use_attend(model: nn.Module) -> None:
    """Let MMPretrain's blocks in ``model`` use :func:`attend`."""
    for module in model.modules():
        if isinstance(module, MultiheadAttention):
            module.scaled_dot_product_attention = attend


def recompute_blocks(model: nn.Module) -> None:
    """Let MMPretrain's blocks in ``model`` keep only their inputs.

    MMEngine's activation_checkpointing uses reentrant autograd, which fails in
    distributed training if a block is used more than once in a step.
    """
    for block in model.modules():
        if isinstance(block, TransformerEncoderLayer):
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)


def attention_maps(query: Tensor, key: Tensor, value: Tensor) -> AttentionMaps:
    """Maps for queries, keys and values [B, heads, N, d]."""
    scale = query.shape[-1] ** -0.5
    return AttentionMaps(
        (query @ key.mT * scale).softmax(dim=-1),
        (value @ value.mT * scale).softmax(dim=-1),
    )


def block_maps(layer: TransformerEncoderLayer, tokens: Tensor) -> AttentionMaps:
    """Attention maps of a block for tokens [B, N, C]."""
    qkv = layer.attn.qkv(layer.ln1(tokens)).unflatten(2, (3, layer.attn.num_heads, -1))
    return attention_maps(*qkv.permute(2, 0, 3, 1, 4))


def class_token(
    layer: TransformerEncoderLayer, tokens: Tensor, attention: bool = False
) -> tuple[Tensor, AttentionMaps | None]:
    """Compute a block's output for the first token only, which attends to all.

    Equals ``layer(tokens)[:, 0]`` up to rounding. Per token, keys and values are 1/6 of
    a block's multiplications; the rest is computed for one token.

    Args:
        layer: A block whose attention has no value shortcut.
        tokens: [B, N, C], class token first.
        attention: Whether to return the attention maps of all tokens.

    Returns:
        [B, C], and the maps if requested.
    """
    attn = layer.attn
    channels, heads = attn.embed_dims, attn.num_heads
    weight, bias = attn.qkv.weight, attn.qkv.bias
    biases = (None, None) if bias is None else bias.split([channels, 2 * channels])
    weights = weight.split([channels, 2 * channels])
    normed = layer.ln1(tokens)
    query = linear(normed if attention else normed[:, :1], weights[0], biases[0])
    key, value = linear(normed, weights[1], biases[1]).chunk(2, dim=2)
    query, key, value = (
        each.unflatten(2, (heads, -1)).transpose(1, 2) for each in (query, key, value)
    )
    maps = attention_maps(query, key, value) if attention else None

    dropout = attn.attn_drop if layer.training else 0.0
    attended = attend(query[:, :, :1], key, value, dropout_p=dropout)
    attended = attn.proj(attended.transpose(1, 2).flatten(2))
    token = tokens[:, :1] + attn.out_drop(attn.gamma1(attn.proj_drop(attended)))
    return layer.ffn(layer.ln2(token), identity=token)[:, 0], maps
