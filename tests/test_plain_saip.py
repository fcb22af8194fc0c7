"""The plain SAIP against the authors' numbers and against independent pieces."""

import numpy as np
import pytest
import reference_case as reference
import timm.models.vision_transformer as timm_vit
import torch
import torch.nn.functional as F
from plain_saip import attention, block, matching
from torch import nn


def test_agrees_with_the_authors_numbers():
    case = reference.read_case()
    reference.assert_agree(reference.run_plain(case), case['expected'])


@pytest.fixture
def block_weights() -> tuple[nn.Module, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    stock = timm_vit.Block(32, 4, qkv_bias=True, norm_layer=timm_vit.LayerNorm).double()
    stock.norm1.eps = stock.norm2.eps = 1e-6
    return stock, {f'b.{name}': w for name, w in stock.state_dict().items()}


def test_block_is_timms(block_weights):
    stock, p = block_weights
    x = torch.randn(2, 7, 32, dtype=torch.float64)
    torch.testing.assert_close(block(p, 'b', x, 4)[0], stock(x))


def test_cross_attention_is_torchs(block_weights):
    stock, p = block_weights
    attend = nn.MultiheadAttention(32, 4, batch_first=True, dtype=torch.float64)
    nn.init.normal_(attend.in_proj_bias)
    p |= {f'b.attn.{name}': w for name, w in attend.state_dict().items()}
    x, context = torch.randn(2, 2, 7, 32, dtype=torch.float64)
    x = x[:, :3]
    expected = x + attend(stock.norm1(x), context, context)[0]
    expected = expected + stock.mlp(stock.norm2(expected))
    torch.testing.assert_close(block(p, 'b', x, 4, context)[0], expected)


def test_matching_is_the_soft_cross_entropy_of_different_views():
    teacher, student = torch.randn(2, 3, 9), torch.randn(5, 3, 9)
    center = torch.randn(9)
    expected = [
        F.cross_entropy(student[s] / 0.1, ((teacher[t] - center) / 0.04).softmax(1))
        for t in range(2)
        for s in range(5)
        if s != t
    ]
    loss = matching(list(teacher), list(student), center)
    torch.testing.assert_close(loss, torch.stack(expected).mean())


def test_attention_is_the_divergence_of_both_maps():
    # [network, q/k/v, B, heads, N, channels per head]
    teacher, student = torch.randn(2, 3, 3, 2, 4, 8).double()

    def log_maps(q, k, v):
        pairs = torch.stack([q, v]), torch.stack([k, v])
        scores = torch.einsum('mbhqd,mbhkd->mbhqk', *pairs) / np.sqrt(8)
        return scores.log_softmax(-1)

    expected = F.kl_div(
        log_maps(*student), log_maps(*teacher), reduction='sum', log_target=True
    )
    torch.testing.assert_close(attention(teacher, student), expected / (3 * 2 * 4))
