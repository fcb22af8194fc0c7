"""One optimizer step of SAIP, plainly: AdamW, its schedule, the teacher and the center.

A `state` is a dict: `student` and `teacher` (parameters as in plain_saip.py), `center`
[K], AdamW's moments `mean` and `square` by parameter name, `step` (how many were made).
"""

from math import cos, pi
from typing import NamedTuple

import torch
from plain_saip import MODEL, losses


class Recipe(NamedTuple):
    lr: float = 2e-3
    start_factor: float = 1e-4  # of lr, at the first of `warmup` steps
    warmup: int = 10
    steps: int = 300
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 0.05
    momentum: float = 0.996  # of the teacher, rising to 1 over `steps`
    center_momentum: float = 0.9


def start(student, teacher, center):
    student = {name: w.detach().clone().requires_grad_() for name, w in student.items()}
    teacher = {name: w.detach().clone() for name, w in teacher.items()}
    moments = {'mean': {}, 'square': {}, 'step': 0}
    return {'student': student, 'teacher': teacher, 'center': center, **moments}


def learning_rate(t, recipe):
    if t < recipe.warmup:
        low = recipe.start_factor
        return recipe.lr * (low + (1 - low) * t / (recipe.warmup - 1))
    progress = (t - recipe.warmup) / (recipe.steps - recipe.warmup)
    return recipe.lr * (1 + cos(pi * progress)) / 2


def teacher_momentum(t, recipe):
    return 1 - (1 - recipe.momentum) * (cos(pi * t / recipe.steps) + 1) / 2


def adamw(state, name, gradient, recipe):  # moves one parameter and its moments
    t, w, (b1, b2) = state['step'] + 1, state['student'][name], recipe.betas
    mean = b1 * state['mean'].get(name, 0) + (1 - b1) * gradient
    square = b2 * state['square'].get(name, 0) + (1 - b2) * gradient**2
    state['mean'][name], state['square'][name] = mean, square
    move = mean / (1 - b1**t) / ((square / (1 - b2**t)).sqrt() + recipe.eps)
    if w.ndim > 1 and not name.endswith(('token', 'pos_embed')):  # no norm, no bias
        move += recipe.weight_decay * w
    w -= learning_rate(state['step'], recipe) * move


def train_step(state, micro_batches, recipe, model=MODEL):  # in place -> mean losses
    student, teacher, center = state['student'], state['teacher'], state['center']
    batches = [losses(student, teacher, center, b, model) for b in micro_batches]
    names, count = batches[0][0], len(batches)
    loss = {name: sum(each[name] for each, _ in batches) / count for name in names}
    # None for what the method never reads: `weight_g`, the matching decoder's norm.
    gradients = torch.autograd.grad(
        sum(loss.values()), student.values(), allow_unused=True
    )
    keep, share = teacher_momentum(state['step'], recipe), recipe.center_momentum
    with torch.no_grad():
        for name, gradient in zip(student, gradients, strict=True):
            if gradient is None:
                continue
            adamw(state, name, gradient, recipe)
            if name.startswith(('backbone.', 'csm_decoder.')):
                teacher[name] = keep * teacher[name] + (1 - keep) * student[name]
        logits = torch.cat([view for _, raw in batches for view in raw['teacher']])
        state['center'] = share * center + (1 - share) * logits.mean(0)
    state['step'] += 1
    return {name: value.item() for name, value in loss.items()}
