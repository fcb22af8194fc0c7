"""The plain SAIP against the authors' numbers and against independent pieces."""

import numpy as np
import reference_case as reference
import torch
import torch.nn.functional as F
from plain_saip import attention, matching


def test_agrees_with_the_authors_numbers():
    case = reference.read_case()
    reference.assert_agree(reference.run_plain(case), case['expected'])


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
