"""The last block: its attention maps, and its class token alone."""

from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from torch import Tensor
from torch.nn.functional import linear

from .attention import attend
from .encoder import AttentionMaps


def class_token(
    layer: TransformerEncoderLayer, tokens: Tensor, attention: bool = False
) -> tuple[Tensor, AttentionMaps | None]:
    """Compute a block for its first token, which attends to all.

    Equals ``layer(tokens)[:, 0]`` up to rounding. Per token, keys and values are 1/6 of
    a block's multiplications; the rest is computed for one token.

    Args:
        layer: A block; its attention has no shortcut of values.
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
    attended = attn.gamma1(
        attn.proj_drop(attn.proj(attended.transpose(1, 2).flatten(2)))
    )
    token = tokens[:, :1] + attn.out_drop(attended)
    return layer.ffn(layer.ln2(token), identity=token)[:, 0], maps


def block_maps(layer: TransformerEncoderLayer, tokens: Tensor) -> AttentionMaps:
    """Attention maps of a block for tokens [B, N, C]."""
    qkv = layer.attn.qkv(layer.ln1(tokens)).unflatten(2, (3, layer.attn.num_heads, -1))
    return attention_maps(*qkv.permute(2, 0, 3, 1, 4))


def attention_maps(query: Tensor, key: Tensor, value: Tensor) -> AttentionMaps:
    """Maps for queries, keys and values [B, heads, N, d]."""
    scale = query.shape[-1] ** -0.5
    return AttentionMaps(
        (query @ key.mT * scale).softmax(dim=-1),
        (value @ value.mT * scale).softmax(dim=-1),
    )
