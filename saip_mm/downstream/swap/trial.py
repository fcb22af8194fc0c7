"""Builds a config's model and trains it for one step, on random inputs."""

import copy
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from mmengine.config import Config
from mmengine.logging import MessageHub, print_log
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import MODELS
from torch import distributed as dist
from torch import nn

from ...checkpoints.backbone import Backbone
from ...checkpoints.loading import load_pretrained
from ...models.weights import LoadReport
from ..pyramid import ViTPyramid
from .inputs import NoInputs, random_batch, trial_sizes
from .stock import Stock, parts_of, without_weights

# What PyTorch and MMCV say of an operator that only a GPU has.
_GPU_ONLY = ('implementation for device cpu not found', 'not compiled with GPU')


@dataclass
class Trial:
    """What came of a step.

    Attributes:
        report: How the weights fitted the backbone; None for a stock config.
        idle: Keys of ``custom_keys`` that are for no parameter outside the backbone.
        loss: None if no step was tried.
        not_tried: Why not.
        unused: Levels of the pyramid that got no gradient.
    """

    report: LoadReport | None
    idle: list[str]
    loss: float | None = None
    not_tried: str = ''
    unused: list[int] = field(default_factory=list)


def try_config(cfg: Config, stock: Stock, ours: Backbone | None = None) -> Trial:
    """Build the model of ``cfg``, load ``ours`` and train a step on the CPU.

    Nothing is downloaded: of all weights that the config names, only ours are loaded.

    Raises:
        Exception: Whatever the model raises, or ValueError if its loss is not finite or
            does not reach the whole backbone.
    """
    *smaller, largest = trial_sizes(stock)
    for size in smaller:
        try:
            return _try_size(cfg, stock, ours, size)
        except Exception as error:  # whatever another library's model may raise
            print_log(f'images of {size}: {error}', 'current', logging.DEBUG)
    return _try_size(cfg, stock, ours, largest)


def _try_size(
    cfg: Config, stock: Stock, ours: Backbone | None, size: tuple[int, int]
) -> Trial:
    """The same for images of one size, (h, w)."""
    model = _build(cfg, ours, size)
    report = None
    if ours:
        report = load_pretrained(model.backbone, ours.path, ours.prefix)
    trial = Trial(report, _idle_keys(model, cfg))
    try:
        batch = random_batch(stock, size)
    except NoInputs as error:
        with torch.no_grad():
            model.eval().extract_feat(torch.randn(2, 3, *size))
        trial.not_tried = str(error)
        return trial
    optimizer = _optimizer(model, cfg)
    model.train()  # returns None of some models
    try:
        loss = _loss(model, batch)
        loss.backward()
    except (RuntimeError, NotImplementedError) as error:
        if not any(words in str(error) for words in _GPU_ONLY):
            raise
        trial.not_tried = 'it has an operator that needs a GPU'
        return trial
    trial.loss = loss.item()
    if not math.isfinite(trial.loss):
        raise ValueError(f'the loss of random images is {trial.loss}')
    if ours and (untrained := _without_gradient(model.backbone)):
        raise ValueError(
            f'{len(untrained)} tensors of the backbone learn nothing: {untrained[0]}'
        )
    pyramids = [each for each in model.modules() if isinstance(each, ViTPyramid)]
    for pyramid in pyramids:  # with several GPUs a level without gradient is an error
        levels = enumerate(pyramid.levels)
        trial.unused += [i for i, level in levels if _without_gradient(level)]
    optimizer.step()
    return trial


def _build(cfg: Config, ours: Backbone | None, size: tuple[int, int]) -> nn.Module:
    """The model, initialized, without the weights of others; for images of ``size``."""
    model_cfg = without_weights(cfg.model)
    if ours:
        model_cfg.backbone.init_cfg = cfg.model.backbone.init_cfg
    if 'data_preprocessor' in cfg:  # as MMEngine's runner does
        model_cfg.setdefault('data_preprocessor', copy.deepcopy(cfg.data_preprocessor))
    preprocessor = model_cfg.get('data_preprocessor') or {}
    if cfg.default_scope != 'mmpretrain':
        # Batches are resized, padded and mixed to sizes that are slow here.
        preprocessor.pop('batch_augments', None)
    if preprocessor.get('size'):
        preprocessor['size'] = size
    for part in parts_of(model_cfg.get('train_cfg')):
        # Detectors learn faster from few of their boxes per image.
        if 'sampler' in part and part['sampler'].get('num', 0) > 64:
            part['sampler']['num'] = 64
    torch.manual_seed(0)
    with _process_group():  # MMCV's synchronized norms do not build without one
        model = MODELS.build(model_cfg)
    model.init_weights()
    return revert_sync_batchnorm(model)


@contextmanager
def _process_group() -> Iterator[None]:
    """A group of this process alone, if there is none."""
    if dist.is_initialized():
        yield
        return
    dist.init_process_group('gloo', store=dist.HashStore(), rank=0, world_size=1)
    try:
        yield
    finally:
        dist.destroy_process_group()


def _optimizer(model: nn.Module, cfg: Config) -> OptimWrapper:
    """The config's own, in single precision: mixed needs a GPU."""
    wrapper = copy.deepcopy(cfg.get('optim_wrapper') or {})
    if not wrapper.get('optimizer'):
        wrapper = dict(optimizer=dict(type='AdamW', lr=1e-4))
    for key in ('dtype', 'loss_scale', 'use_fsdp'):
        wrapper.pop(key, None)
    wrapper.update(type='OptimWrapper', accumulative_counts=1)
    return build_optim_wrapper(model, wrapper)


def _loss(model: nn.Module, batch: dict) -> torch.Tensor:
    hub = MessageHub.get_current_instance()  # schedules inside models read it
    for key, value in dict(iter=0, epoch=0, max_iters=100, max_epochs=10).items():
        hub.update_info(key, value)
    losses = model(**model.data_preprocessor(batch, True), mode='loss')
    return model.parse_losses(losses)[0]


def _without_gradient(module: nn.Module) -> list[str]:
    """Names of its parameters that a step leaves as they are, frozen ones aside."""
    return [
        name
        for name, parameter in module.named_parameters()
        if parameter.requires_grad and parameter.grad is None
    ]


def _idle_keys(model: nn.Module, cfg: Config) -> list[str]:
    """Keys of ``custom_keys`` that are for no parameter outside the backbone."""
    rules = (cfg.get('optim_wrapper') or {}).get('paramwise_cfg') or {}
    names = [n for n, _ in model.named_parameters() if not n.startswith('backbone.')]
    keys = rules.get('custom_keys', {})
    return [key for key in keys if not any(key in name for name in names)]
