"""Attention in bfloat16 on a CPU against PyTorch's in double precision."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from saip_mm.models.attention import attend


@pytest.mark.parametrize(
    'dtype, tolerance', [(torch.float32, 1e-5), (torch.bfloat16, 0.03)]
)
def test_outputs_and_gradients(dtype, tolerance):
    torch.manual_seed(0)
    inputs = [torch.randn(2, 3, 17, 32, dtype=dtype) for _ in range(4)]

    def results(attention, dtype):
        *qkv, upstream = (x.to(dtype, copy=True).requires_grad_() for x in inputs)
        output = attention(*qkv)
        return output, *torch.autograd.grad(output, qkv, upstream)

    found = results(attend, dtype)
    expected = results(scaled_dot_product_attention, torch.float64)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours - theirs).norm() < tolerance * theirs.norm()


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_dropout_is_pytorchs(dtype):
    qkv, found = torch.randn(3, 2, 3, 17, 32).to(dtype), []
    for attention in (attend, scaled_dot_product_attention):
        torch.manual_seed(0)
        found.append(attention(*qkv, dropout_p=0.5))
    assert torch.equal(*found)
