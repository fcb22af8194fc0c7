"""Weights and views of SAIP for plain_saip.py, and a step as others would write it."""

from types import SimpleNamespace

import plain_saip
import torch
from reference_case import read_case

from saip_mm.checkpoints.names import OFFICIAL_TO_SAIP, STUDENT_TO_TEACHER, renamed


def views_of(inputs):  # inputs of SAIP.loss -> views of plain_saip.py
    views = {name: inputs[name] for name in ('roi', 'inst', 'csr', 'scene')}
    for kind in ('global', 'local'):
        each = inputs[f'{kind}s'].unbind(1)
        views |= {f'{kind}_{i}': view for i, view in enumerate(each)}
    views['inst_mask'], views['roi_mask'] = inputs['scene_masks'].unbind(1)
    return views | {'csr_noise': inputs['csr_noise']}


def names_of(state):  # -> our names of student, teacher by the authors' names
    names = read_case()['official_state_dict_shapes']
    student = {name: renamed(name, OFFICIAL_TO_SAIP) for name in names}
    student = {k: v for k, v in student.items() if v in state}
    averaged = {v: renamed(v, STUDENT_TO_TEACHER) for v in student.values()}
    return student, {k: averaged[v] for k, v in student.items() if averaged[v] != v}


def weights_of(model):  # -> student, teacher by the authors' names
    state = model.state_dict()
    student, teacher = names_of(state)
    student = {k: state[v].clone().requires_grad_() for k, v in student.items()}
    return student, {k: state[v].clone() for k, v in teacher.items()}


def options_of(model):  # -> `model` of plain_saip.py, whose patches become as large
    plain_saip.PATCH = model.backbone.patch_size
    return SimpleNamespace(
        heads=model.backbone.arch_settings['num_heads'],
        decoder_heads=model.reconstruction.blocks[0].attn.num_heads,
        middle=model.backbone.middle_block + 1,
        mask_ratio=model.reconstruction.mask_ratio,
    )


def make(model, inputs, dtype):  # from SAIP's weights -> a step, see tools/benchmark.py
    (student, teacher), options = weights_of(model), options_of(model)
    views, center = views_of(inputs), model.matching.center[0].clone()
    optimizer = torch.optim.AdamW(student.values())

    def step():
        device = center.device.type
        with torch.autocast(device, dtype, enabled=dtype != torch.float32):
            losses, raw = plain_saip.losses(student, teacher, center, views, options)
        yield 'forward'
        sum(losses.values()).backward()
        yield 'backward'
        optimizer.step()
        optimizer.zero_grad()
        yield 'optimizer'
        with torch.no_grad():
            for name, average in teacher.items():
                average.lerp_(student[name], 0.01)
            center.lerp_(torch.cat(raw['teacher']).mean(0).to(center), 0.1)
        yield 'teacher'

    return step
