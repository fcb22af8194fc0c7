"""The quantities of a reference case, computed by the plain SAIP."""

from types import SimpleNamespace

import torch
from plain_saip import MODEL, PATCH, losses
from reference_tensors import view, weight

from saip_mm.models.preprocessor import scaled_size


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


def run_case(content: dict) -> dict[str, float]:
    """All quantities of a case, named as in its ``expected``."""
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
    return ours
