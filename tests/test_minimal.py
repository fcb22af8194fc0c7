"""docs/minimal.md runs as printed, and computes the plain SAIP's losses."""

import re

import plain_saip
import pytest
import torch
from launch import ROOT

PAGE = (ROOT / 'docs/minimal.md').read_text()


@pytest.fixture(scope='module')
def program() -> dict:
    """Variables of the page after a short training."""
    code = '\n'.join(re.findall(r'```python\n(.*?)```', PAGE, re.DOTALL))
    assert 'STEPS, BATCH = 40, 16' in code
    torch.manual_seed(0)
    names = {}
    exec(code.replace('STEPS, BATCH = 40, 16', 'STEPS, BATCH = 5, 4'), names)
    return names


def test_it_trains(program):
    losses = {name: float(loss.detach()) for name, loss in program['losses'].items()}
    assert all(0 <= loss < 10 for loss in losses.values())
    assert losses['loss_csr'] < 1.25  # from 1.35; predicting zero gives 1
    teacher, student = program['teacher'], program['student']
    assert program['center'].abs().max() > 0
    assert not torch.equal(teacher.encoder.cls, student.encoder.cls)
    assert teacher.encoder.cls.abs().max() > 0


def test_its_losses_are_those_of_the_plain_method(program):
    teacher, student = torch.randn(2, 3, 9), torch.randn(5, 3, 9)
    logits = list(teacher), list(student), torch.randn(9)
    torch.testing.assert_close(
        program['matching_loss'](*logits), plain_saip.matching(*logits)
    )
    qkv = torch.randn(2, 3, 3, 2, 4, 8)
    torch.testing.assert_close(
        program['attention_loss'](*qkv), plain_saip.attention(*qkv)
    )
    embed = torch.randn(1, 1 + 8 * 4, 6)
    torch.testing.assert_close(
        program['positions'](embed, (4, 3)), plain_saip.positions(embed, (8, 4), (4, 3))
    )
