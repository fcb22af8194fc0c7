"""Costs of training runs, runs of equal cost, and the processor that runs them."""

import copy
import os
import platform
import re
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import DefaultScope
from torch.utils.flop_counter import FlopCounterMode

from ..checkpoints.teachers import find_teacher
from ..data.people import PeopleDataset
from ..data.quarantine import Quarantine
from ..models import SAIP
from ..training.batches import Passes
from ..training.loaders import build_loader
from .subject import build_model

IMAGES, STEPS = 8, 4  # images per step, and steps, to count


class Cost(NamedTuple):
    """Cost of a training run."""

    flops: float  # per image, forward and backward
    images: int  # per epoch


def cost_of(config: Config) -> Cost:
    """Count the FLOPs of a few pretraining steps, on the CPU.

    PyTorch counts multiplications and additions of matrix products and convolutions;
    views, wherever they are made, the optimizer and averages of weights are not
    counted. The number is the mean over steps, because the sizes of SAIP's views
    change. A teacher's outputs are not taken from its cache.

    Raises:
        ValueError: If there are fewer images than in a batch, or PyTorch is too old.
    """
    if torch.__version__ < (2, 3):
        raise ValueError(f'counting FLOPs needs PyTorch 2.3, not {torch.__version__}')
    from torch.nn.attention import SDPBackend, sdpa_kernel

    model = build_model(config).train()
    if teacher := find_teacher(model):
        teacher.cache = None
    # MMPretrain's target networks read the length of the run.
    MessageHub.get_current_instance().update_info('max_iters', STEPS)
    loading = config.train_dataloader
    size = min(IMAGES, loading.batch_size)
    counted = dict(loading, batch_size=size, num_workers=0, drop_last=True)
    loader = build_loader(counted, seed=0)
    if isinstance(loader.dataset, PeopleDataset):
        _replace_bad_images(loader.dataset)
    total = len(loader.dataset)
    left_out = total % loading.batch_size if loading.get('drop_last') else 0
    if not len(loader) or total == left_out:
        raise ValueError(
            f'{total} training images do not fill a batch of {loading.batch_size}: add '
            'some, or reduce train_dataloader.batch_size'
        )
    flops = images = 0
    for step, batch in enumerate(islice(loader, STEPS)):
        if isinstance(model, SAIP):
            batch['scales'] = model.data_preprocessor.draw_scales(0, step)
        prepared = model.data_preprocessor(batch, True)
        # Other attention kernels are not counted on a CPU.
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            losses = model(**prepared, mode='loss')
            model.parse_losses(losses)[0].backward()
        flops += counter.get_total_flops()
        images += size
    return Cost(flops / images, total - left_out)


def _replace_bad_images(people: PeopleDataset) -> None:
    """Replace unusable images as a training does, without a list of them."""
    scenes = [] if people.scenes is None else people.scenes.parts()
    for source in (*people.parts(), *scenes):
        source.quarantine = Quarantine(os.devnull, len(source), max_share=1)


def images_in(config: Config, steps: int) -> int:
    """Number of images in the first steps of a training in one process."""
    loading = config.train_dataloader
    if loading.get('drop_last'):
        return steps * loading.batch_size
    with DefaultScope.overwrite_default_scope(config.get('default_scope')):
        loader = build_loader(dict(loading, num_workers=0), seed=0)
    return sum(map(len, islice(Passes(loader.batch_sampler, 0), steps)))


def with_epochs(config: Config, epochs: int) -> Config:
    """The config with another number of epochs, and its schedules in proportion."""
    config = copy.deepcopy(config)
    ratio = Fraction(epochs, config.train_cfg.max_epochs)
    config.train_cfg.max_epochs = epochs
    schedulers = config.get('param_scheduler') or []
    for each in schedulers if isinstance(schedulers, list) else [schedulers]:
        for name in ('begin', 'end', 'T_max', 'step_size'):
            if each.get(name) is not None:
                value = Fraction(each[name]) * ratio
                exact = each.get('convert_to_iter_based') and value.denominator > 1
                shortest = 0 if name == 'begin' else 1
                each[name] = float(value) if exact else max(shortest, round(value))
        if 'milestones' in each:
            each['milestones'] = [round(x * ratio) for x in each['milestones']]
    return config


def processor() -> str:
    """Name of the processor on Linux, its architecture elsewhere."""
    known = Path('/proc/cpuinfo')
    text = known.read_text() if known.exists() else ''
    found = re.search(r'^model name\s*:\s*(.+)$', text, re.MULTILINE)
    return found[1] if found else platform.machine()
