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

from ...checkpoints.checkpoint import LoadReport, load_pretrained
from ..pyramid import ViTPyramid
from .inputs import NoInputs, random_batch, trial_sizes
from .plan import Weights
from .stock import Stock, without_weights

# What PyTorch and MMCV say of an operator that only a GPU has.
_GPU_ONLY = ('implementation for device cpu not found', 'not compiled with GPU')


@dataclass
class Trial:
    """What came of a step.

    Attributes:
        report: How the weights fitted the backbone; None for a stock config.
        loss: None if no step was tried.
        not_tried: Why not.
        unused: Levels of the pyramid that got no gradient.
        idle: Keys of ``custom_keys`` that are for no parameter outside the backbone.
    """

    report: LoadReport | None
    loss: float | None = None
    not_tried: str = ''
    unused: list[int] = field(default_factory=list)
    idle: list[str] = field(default_factory=list)


def try_config(cfg: Config, stock: Stock, weights: Weights | None = None) -> Trial:
    """Build the model of ``cfg``, load ``weights`` and train a step on the CPU.

    Nothing is downloaded: of all weights that the config names, only these are loaded.

    Raises:
        Exception: Whatever the model raises, or ValueError if its loss is not finite or
            does not reach the whole backbone.
    """
    *smaller, largest = trial_sizes(stock)
    for size in smaller:
        try:
            return _try_size(cfg, stock, weights, size)
        except Exception as error:  # whatever another library's model may raise
            print_log(f'images of {size}: {error}', 'current', logging.DEBUG)
    return _try_size(cfg, stock, weights, largest)


def _try_size(
    cfg: Config, stock: Stock, weights: Weights | None, size: tuple[int, int]
) -> Trial:
    """The same for images of one size, (h, w)."""
    model = _build(cfg, weights, size)
    report = None
    if weights:
        report = load_pretrained(model.backbone, weights.checkpoint, weights.prefix)
    idle = _idle_keys(model, cfg)
    try:
        batch = random_batch(stock, size)
    except NoInputs as error:
        with torch.no_grad():
            model.eval().extract_feat(torch.randn(2, 3, *size))
        return Trial(report, not_tried=str(error), idle=idle)
    optimizer = _optimizer(model, cfg)
    model.train()
    try:
        loss = _loss(model, batch)
        loss.backward()
    except (RuntimeError, NotImplementedError) as error:
        if any(words in str(error) for words in _GPU_ONLY):
            return Trial(
                report, not_tried='it has an operator that needs a GPU', idle=idle
            )
        raise
    if not math.isfinite(loss.item()):
        raise ValueError(f'the loss of random images is {loss.item()}')
    if weights:
        _check_gradients(model.backbone)
    unused = _unused_levels(model)
    optimizer.step()
    return Trial(report, loss.item(), unused=unused, idle=idle)


def _build(cfg: Config, weights: Weights | None, size: tuple[int, int]) -> nn.Module:
    """The model, initialised, without the weights of others; for images of ``size``."""
    model_cfg = copy.deepcopy(cfg.model)
    init_cfg = model_cfg.backbone.get('init_cfg')
    model_cfg = without_weights(model_cfg)
    if weights:
        model_cfg.backbone.init_cfg = init_cfg
    if 'data_preprocessor' in cfg:  # as MMEngine's runner does
        model_cfg.setdefault('data_preprocessor', copy.deepcopy(cfg.data_preprocessor))
    preprocessor = model_cfg.get('data_preprocessor') or {}
    if cfg.default_scope in ('mmdet', 'mmpose', 'mmseg'):
        # Batches are resized, padded and mixed to sizes that are slow here.
        preprocessor.pop('batch_augments', None)
    if preprocessor.get('size'):
        preprocessor['size'] = size
    _sample_less(model_cfg.get('train_cfg'))
    torch.manual_seed(0)
    with _process_group():  # MMCV's synchronised norms do not build without one
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


def _sample_less(part: object, limit: int = 64) -> None:
    """Let detectors learn from few of their boxes per image, which is faster."""
    if isinstance(part, list | tuple):
        for each in part:
            _sample_less(each, limit)
    elif isinstance(part, dict):
        for key, value in part.items():
            if key == 'sampler' and value.get('num', 0) > limit:
                value['num'] = limit
            else:
                _sample_less(value, limit)


def _optimizer(model: nn.Module, cfg: Config) -> OptimWrapper:
    """The config's own, in single precision: mixed needs a GPU."""
    wrapper = copy.deepcopy(cfg.get('optim_wrapper') or {})
    if not wrapper.get('optimizer'):
        wrapper = dict(optimizer=dict(type='AdamW', lr=1e-4))
    for key in ('dtype', 'loss_scale', 'use_fsdp'):
        wrapper.pop(key, None)
    wrapper['type'] = 'OptimWrapper'
    wrapper['accumulative_counts'] = 1
    return build_optim_wrapper(model, wrapper)


def _loss(model: nn.Module, batch: dict) -> torch.Tensor:
    hub = MessageHub.get_current_instance()  # schedules inside models read it
    for key, value in dict(iter=0, epoch=0, max_iters=100, max_epochs=10).items():
        hub.update_info(key, value)
    losses = model(**model.data_preprocessor(batch, True), mode='loss')
    return model.parse_losses(losses)[0]


def _check_gradients(backbone: nn.Module) -> None:
    """Refuse a step that leaves a part of the backbone untrained."""
    idle = [
        name
        for name, parameter in backbone.named_parameters()
        if parameter.requires_grad and parameter.grad is None
    ]
    if idle:
        raise ValueError(
            f'{len(idle)} tensors of the backbone learn nothing: {idle[0]}'
        )


def _idle_keys(model: nn.Module, cfg: Config) -> list[str]:
    """Keys of ``custom_keys`` that are for no parameter outside the backbone."""
    rules = (cfg.get('optim_wrapper') or {}).get('paramwise_cfg') or {}
    names = [n for n, _ in model.named_parameters() if not n.startswith('backbone.')]
    keys = rules.get('custom_keys', {})
    return [key for key in keys if not any(key in name for name in names)]


def _unused_levels(model: nn.Module) -> list[int]:
    """Levels whose parameters would make training with several GPUs fail."""
    return [
        index
        for module in model.modules()
        if isinstance(module, ViTPyramid)
        for index, level in enumerate(module.levels)
        if any(parameter.grad is None for parameter in level.parameters())
    ]
