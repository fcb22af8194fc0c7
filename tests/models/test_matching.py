"""Quantities of the matching head that are logged."""

import torch
from torch.nn import functional as F

from saip_mm.models.matching import CrossScaleMatchingHead, token_spread


def test_cross_entropy_is_entropy_plus_divergence():
    """Pair by pair, with PyTorch's KL divergence."""
    head = CrossScaleMatchingHead(8, 8, 8, 9).double()
    torch.nn.init.normal_(head.center)
    teacher = torch.randn(2, 3, 9, dtype=torch.float64)
    student = torch.randn(5, 3, 9, dtype=torch.float64)
    found = head.loss(student, teacher)
    targets = ((teacher - head.center) / 0.04).softmax(-1)
    divergences = [
        F.kl_div((student[s] / 0.1).log_softmax(-1), targets[t], reduction='batchmean')
        for t in range(2)
        for s in range(5)
        if s != t
    ]
    torch.testing.assert_close(found['matching_kl'], torch.stack(divergences).mean())
    entropy = torch.distributions.Categorical(targets).entropy().mean()
    torch.testing.assert_close(found['teacher_entropy'], entropy)
    torch.testing.assert_close(found['loss_csm'], entropy + found['matching_kl'])


def test_the_spread_is_1_in_all_directions_and_0_if_all_are_alike():
    axes = torch.eye(4)
    assert token_spread(torch.cat([axes, -3 * axes])) == 1
    assert token_spread(axes[:1] * torch.tensor([[1.0], [2.0], [5.0]])) == 0
