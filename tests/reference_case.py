"""Reference cases: numbers that the method's authors' model computed.

A case (``tests/cases/case_a.json``) stores no tensors: every weight and view follows
from its name, to the last bit. So nothing about :func:`normal`, :func:`weight` and
:func:`view` may change: not the names, not the generator, not the order of the float32
operations.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from plain_saip import MODEL, PATCH, losses
from torch import Tensor

CASE = Path(__file__).parent / 'cases/case_a.json'
NORM_WEIGHT = re.compile(r'norm\d?\.weight$')


def normal(name: str, shape: Sequence[int]) -> np.ndarray:
    """Standard normal float32 array of ``shape`` that depends on ``name`` only."""
    digest = hashlib.sha256(name.encode()).digest()
    bits = np.random.PCG64(int.from_bytes(digest[:8], 'little'))
    return np.random.Generator(bits).standard_normal(tuple(shape), dtype=np.float32)


def weight(tag: str, role: str, key: str, shape: Sequence[int]) -> np.ndarray:
    """Weight ``key`` (the authors' name) of the ``role`` 'student' or 'teacher'.

    N(0, 0.02²), around one for the gains of norms; ones for ``weight_g``.
    """
    if key.endswith('weight_g'):
        return np.ones(shape, np.float32)
    noise = np.float32(0.02) * normal(f'{tag}/{role}/weight/{key}', shape)
    return np.float32(1) + noise if NORM_WEIGHT.search(key) else noise


def view(tag: str, step: int, name: str, shape: Sequence[int]) -> np.ndarray:
    """Input ``name`` of ``step`` (from 0): N(0, 1); a mask is where it is positive."""
    return normal(f'{tag}/input/step{step}/{name}', shape)


def read_case() -> dict:
    return json.loads(CASE.read_text())


def draw_weights(case: dict) -> list[dict[str, Tensor]]:
    """Weights of student and teacher by the authors' names."""
    tag, shapes = case['config']['tag'], case['official_state_dict_shapes']
    return [
        {k: torch.from_numpy(weight(tag, role, k, s)) for k, s in shapes.items()}
        for role in ('student', 'teacher')
    ]


def draw_views(case: dict, step: int) -> dict[str, Tensor]:
    """The views of a step by the names of plain_saip.py."""
    options = case['config']
    image, crop, scene = (options[f'{n}_size'] for n in ('img', 'crop', 'scene'))
    sizes = {'global_0': image, 'global_1': image, 'scene': scene}
    sizes |= {f'local_{i}': crop for i in range(options['num_native_locals'])}
    for name, size, scale in (
        ('csr', image, options['csr_scale']),
        ('roi', crop, options['scale_roi']),
        ('inst', crop, options['scale_inst']),
    ):
        sizes[name] = [PATCH * round(scale * side / PATCH) for side in size]
    shapes = {name: (3, *size) for name, size in sizes.items()}
    grids = {'csr_noise': image, 'inst_mask': scene, 'roi_mask': scene}
    shapes |= {name: [side // PATCH for side in size] for name, size in grids.items()}
    views = {}
    for name, shape in shapes.items():
        x = view(options['tag'], step, name, (options['batch'], *shape))
        views[name] = torch.from_numpy(x > 0 if 'mask' in name else x)
    return views


def norm(tensors: Iterable[Tensor | None]) -> float:
    # In float64: torch's own float32 norm of millions of values is off by 1e-4.
    flat = [x.detach().double().flatten() for x in tensors if x is not None]
    return torch.cat(flat).norm().item()


def figures(
    step: int,
    loss: Mapping[str, Tensor],
    gradients: Mapping[str, Iterable[Tensor | None]],
    outputs: Mapping[str, Tensor],
    center: Tensor,
) -> dict[str, float]:
    """Quantities of a step, named as in a case's ``expected``."""
    found = {name: value.item() for name, value in loss.items()}
    found |= {f'grad_norm/{part}': norm(each) for part, each in gradients.items()}
    for name, output in outputs.items():
        found[f'{name}_rms'] = norm([output]) / output.numel() ** 0.5
    found['center_norm_after'] = norm([center])
    return {f'step{step}/{name}': value for name, value in found.items()}


def run_plain(case: dict) -> dict[str, float]:
    """The quantities of a case, computed by the plain SAIP."""
    options = case['config']
    model = SimpleNamespace(**vars(MODEL) | {'mask_ratio': options['mask_ratio']})
    student, teacher = draw_weights(case)
    center, found = torch.zeros(options['csm_out_dim']), {}
    for step in range(options['steps']):
        student = {k: w.detach().requires_grad_() for k, w in student.items()}
        loss, raw = losses(student, teacher, center, draw_views(case, step), model)
        sum(loss.values()).backward()
        center = 0.9 * center + 0.1 * torch.cat(raw['teacher']).mean(0)
        gradients = {
            part: [w.grad for k, w in student.items() if k.startswith(f'{part}.')]
            for part in ('backbone', 'csm_decoder', 'csr_decoder', 'css_decoder')
        }
        outputs = {'csm_logits': torch.cat(raw['csm']), 'csr_pred': raw['csr']}
        outputs |= {f'css_{n}_logits': raw[f'css_{n}'] for n in ('inst', 'roi')}
        found |= figures(step, loss, gradients, outputs, center)
    return found


def assert_agree(ours: dict[str, float], expected: dict[str, float]) -> None:
    """To 1e-5; prints the largest difference."""
    assert ours.keys() == expected.keys()
    difference = {k: abs(ours[k] - e) / abs(e) for k, e in expected.items()}
    worst = max(difference, key=difference.get)
    print(f'{len(ours)} quantities differ by {difference[worst]:.1e} at most, {worst}')
    assert difference[worst] < 1e-5, worst
