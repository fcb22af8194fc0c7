"""The plain SAIP against the authors' numbers and against independent pieces."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import timm.models.vision_transformer as timm_vit
import torch
import torch.nn.functional as F
from plain_saip import MODEL, PATCH, attention, block, losses, matching
from torch import nn

from saip_mm.engine.reference import view, weight
from saip_mm.models.preprocessor import scaled_size

CASES = {'case_a': Path(__file__).parent / 'data/case_a.json'}
if 'SAIP_TEST_DATA' in os.environ:
    folder = Path(os.environ['SAIP_TEST_DATA'], 'reference')
    CASES |= {path.stem: path for path in sorted(folder.glob('case_*.json'))}


def draw_views(case: dict, step: int) -> dict[str, torch.Tensor]:
    image, crop, scene = case['img_size'], case['crop_size'], case['scene_size']
    sizes = {
        'global_0': image,
        'global_1': image,
        'csr': scaled_size(image, case['csr_scale'], PATCH),
    }
    sizes |= {f'local_{i}': crop for i in range(case['num_native_locals'])}
    sizes |= {
        name: scaled_size(crop, case[f'scale_{name}'], PATCH)
        for name in ('roi', 'inst')
    }
    shapes = {name: (3, *size) for name, size in (sizes | {'scene': scene}).items()}
    shapes['csr_noise'] = [side // PATCH for side in image]
    shapes |= dict.fromkeys(
        ['inst_mask', 'roi_mask'], [side // PATCH for side in scene]
    )
    views = {
        name: torch.from_numpy(view(case['tag'], step, name, (case['batch'], *shape)))
        for name, shape in shapes.items()
    }
    return {name: x > 0 if 'mask' in name else x for name, x in views.items()}


def norm(tensors: list[torch.Tensor]) -> float:
    # In float64: torch's own float32 norm of millions of values is off by 1e-4.
    return torch.cat([x.detach().double().flatten() for x in tensors]).norm().item()


def rms(tensors: list[torch.Tensor]) -> float:
    return norm(tensors) / sum(x.numel() for x in tensors) ** 0.5


@pytest.mark.parametrize('path', CASES.values(), ids=CASES.keys())
def test_agrees_with_the_authors_numbers(path: Path):
    content = json.loads(path.read_text())
    case, shapes = content['config'], content['official_state_dict_shapes']
    student, teacher = (
        {
            key: torch.from_numpy(weight(case['tag'], role, key, shape))
            for key, shape in shapes.items()
        }
        for role in ('student', 'teacher')
    )
    model = SimpleNamespace(**vars(MODEL) | {'mask_ratio': case['mask_ratio']})
    center, ours = torch.zeros(case['csm_out_dim']), {}
    for step in range(case['steps']):
        student = {k: w.detach().requires_grad_() for k, w in student.items()}
        loss, raw = losses(student, teacher, center, draw_views(case, step), model)
        sum(loss.values()).backward()
        center = 0.9 * center + 0.1 * torch.cat(raw['teacher']).mean(0)
        figures = {name: value.item() for name, value in loss.items()}
        for part in ('backbone', 'csm_decoder', 'csr_decoder', 'css_decoder'):
            mine = [w.grad for k, w in student.items() if k.startswith(f'{part}.')]
            figures[f'grad_norm/{part}'] = norm([g for g in mine if g is not None])
        figures['csm_logits_rms'] = rms(raw['csm'])
        figures['csr_pred_rms'] = rms([raw['csr']])
        figures['css_inst_logits_rms'] = rms([raw['css_inst']])
        figures['css_roi_logits_rms'] = rms([raw['css_roi']])
        figures['center_norm_after'] = norm([center])
        ours |= {f'step{step}/{name}': value for name, value in figures.items()}
    expected = content['expected']
    assert ours.keys() == expected.keys()
    difference = {k: abs(ours[k] - e) / abs(e) for k, e in expected.items()}
    worst = max(difference, key=difference.get)
    print(f'{path.name}: largest relative difference {difference[worst]:.1e} ({worst})')
    assert difference[worst] < 1e-5, worst


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
