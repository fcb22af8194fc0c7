"""Write a config with another backbone and test it with one training step."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import MODELS
from torch import distributed as dist
from torch import nn

from ...checkpoints.backbone import Backbone, choose_backbone
from ...checkpoints.files import open_checkpoint
from ...files import check_writable
from ...models.weights import LoadReport, load_weights
from ..pyramid import ViTPyramid
from .inputs import random_batch
from .optimizer import ADAMW
from .plan import NotAdaptable, dropped_settings, plan_changes
from .stock import (
    Level,
    Refusal,
    Stock,
    measure_levels,
    read_stock,
    reason,
    without_weights,
)

# Errors of PyTorch and MMCV for operators without a CPU implementation.
_GPU_ONLY = ('implementation for device cpu not found', 'not compiled with GPU')


@dataclass
class Swapped:
    """Result of :func:`swap_backbone`.

    Attributes:
        levels: Outputs of the original backbone, whose strides the new config
            reproduces.
        unused: Indices of levels that get no gradient, and keep the last map's stride.
        adapted: Whether neck or heads have new input channels; otherwise, 1×1
            convolutions restore the previous numbers.
        report: Tensors loaded into the backbone.
        loss: Loss of the training step; None if an operator needs a GPU.
        frozen: Whether nothing of the backbone is trained, before as well.
        dropped: Settings of the original config that no longer apply.
    """

    levels: Sequence[Level]
    unused: Sequence[int]
    adapted: bool
    report: LoadReport
    loss: float | None
    frozen: bool
    dropped: Sequence[str]


def swap_backbone(
    name: str,
    checkpoint: str,
    out: str | os.PathLike,
    patch_size: int | None = None,
) -> Swapped:
    """Write a config that inherits another one, with a backbone pretrained by SAIP.

    First, its model is built, loads the weights, and trains a step on random images.

    Args:
        name: ``library::path`` of a stock config, or a file.
        checkpoint: Exported backbone, training checkpoint, or work directory.
        out: The config to write.
        patch_size: Side to which a ViT's patches are resized; None keeps them.

    Raises:
        Refusal: If the backbone cannot be replaced; states the reason.
        OSError: If the checkpoint does not exist, or ``out`` cannot be written.
        ValueError: If the checkpoint cannot be read safely or contains no backbone.
    """
    if (out := Path(out)).resolve() == Path(name).resolve():
        raise Refusal('the new config inherits it: choose another file for --out')
    check_writable(out)
    ours = _read_backbone(checkpoint, patch_size)
    stock = read_stock(name, out)
    levels = measure_levels(stock)
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(f'draft_{os.getpid()}_{out.name}')

    def attempt(adapt: bool, unused: Sequence[int] = ()) -> tuple:
        changes = plan_changes(stock, ours, levels, adapt, unused)
        start = dict(type='Pretrained', checkpoint=checkpoint, prefix=ours.prefix)
        changes['model']['backbone']['init_cfg'] = start
        draft.write_text(_text(stock, changes, out, unused))
        return try_config(_read(draft), stock, ours)

    failure: Exception | None = None
    try:
        for adapt in (True, False):
            try:
                report, loss, unused = attempt(adapt)
                if unused:
                    report, loss, _ = attempt(adapt, unused)
            except Refusal:
                raise
            except Exception as error:  # models of other libraries raise anything
                if failure is None or isinstance(failure, NotAdaptable):
                    failure = error
                continue
            draft.replace(out)
            frozen, dropped = stock.is_frozen, dropped_settings(stock)
            return Swapped(levels, unused, adapt, report, loss, frozen, dropped)
    finally:
        draft.unlink(missing_ok=True)
    raise _refusal(stock, failure) from failure


def _read_backbone(checkpoint: str, patch_size: int | None) -> Backbone:
    with open_checkpoint(checkpoint) as (_, content):
        backbone = choose_backbone(content)
        if patch_size is not None:
            backbone = backbone.with_patch_size(patch_size)
        backbone.build()  # to check it
        return backbone


def _read(draft: Path) -> Config:
    try:
        return Config.fromfile(draft)
    except Exception as error:  # also of the modules that it imports
        raise Refusal(f'cannot be inherited: {reason(error)}') from error


def _refusal(stock: Stock, failure: Exception) -> Refusal:
    """A refusal that tells whether the stock config fails as well."""
    if isinstance(failure, NotAdaptable):
        return Refusal(str(failure))
    height, width = stock.trial_size
    step = f'a training step on random images of {height}×{width} pixels (h×w) fails'
    try:
        try_config(stock.cfg, stock)
    except Exception as error:
        return Refusal(f'{step} with its own backbone too: {reason(error)}')
    return Refusal(f'{step} with this backbone only: {reason(failure)}')


def _text(stock: Stock, changes: dict, out: Path, unused: Sequence[int]) -> str:
    """A config at ``out`` that inherits ``stock``."""
    note = ''
    if unused:
        levels = ', '.join(map(str, unused))
        note = (
            f"No gradient reaches level {levels}, so it keeps the last map's stride.\n"
        )
    return (
        f'"""{stock.name}\nwith a backbone pretrained by SAIP.\n\n'
        f'Written by tools/swap_backbone.py; contains only the differences.\n{note}'
        f'Train it with\n\n    python tools/train.py {quote(str(out))}\n"""\n\n'
        f'_base_ = {stock.base}  # noqa: E501\n\n{Config(changes).pretty_text}'
    )


def try_config(
    cfg: Config, stock: Stock, ours: Backbone | None = None
) -> tuple[LoadReport | None, float | None, list[int]]:
    """Build the model of ``cfg``, load ``ours``, and train one step on the CPU.

    No other weights are loaded or downloaded.

    Returns:
        The loaded tensors, the loss, and the indices of pyramid levels without a
        gradient. The loss is None if the model has an operator that needs a GPU.

    Raises:
        Exception: Any error of the model, or ValueError if the loss is not finite or
            some tensors of the backbone get no gradient.
    """
    model = _build(cfg, ours)
    report = ours and load_weights(model.backbone, ours.state_dict(prefix=''))
    optimizer = _optimizer(model, cfg)
    model.train()  # returns None in some models
    hub = MessageHub.get_current_instance()  # some models read their schedule from it
    for key, value in dict(iter=0, epoch=0, max_iters=100, max_epochs=10).items():
        hub.update_info(key, value)
    # Batch augmentation would change the size of images; classifiers need its targets.
    augment = stock.library == 'mmpretrain'
    batch = model.data_preprocessor(random_batch(stock), augment)
    try:
        loss = model.parse_losses(model(**batch, mode='loss'))[0]
        loss.backward()
    except (RuntimeError, NotImplementedError) as error:
        if any(words in str(error) for words in _GPU_ONLY):
            return report, None, []
        raise
    if not loss.isfinite():
        raise ValueError(f'the loss of random images is {loss.item()}')
    if ours and (untrained := _without_gradient(model.backbone)):
        raise ValueError(
            f'{len(untrained)} tensors of the backbone get no gradient: {untrained[0]}'
        )
    # In distributed training, parameters without a gradient are an error.
    unused = [
        index
        for pyramid in (m for m in model.modules() if isinstance(m, ViTPyramid))
        for index, level in enumerate(pyramid.levels)
        if _without_gradient(level)
    ]
    optimizer.step()
    return report, loss.item(), unused


def _build(cfg: Config, ours: Backbone | None) -> nn.Module:
    """The initialized model, without any pretrained weights."""
    model_cfg = without_weights(cfg.model)
    if ours:
        model_cfg.backbone.init_cfg = cfg.model.backbone.init_cfg
    if 'data_preprocessor' in cfg:  # as in MMEngine's runner
        model_cfg.setdefault('data_preprocessor', cfg.data_preprocessor)
    torch.manual_seed(0)
    with _process_group():  # MMCV's synchronized norms require one
        model = MODELS.build(model_cfg)
    model.init_weights()
    return revert_sync_batchnorm(model)


@contextmanager
def _process_group() -> Iterator[None]:
    """Initialize a group of this process alone unless there is one."""
    if dist.is_initialized():
        yield
        return
    dist.init_process_group('gloo', store=dist.HashStore(), rank=0, world_size=1)
    try:
        yield
    finally:
        dist.destroy_process_group()


def _optimizer(model: nn.Module, cfg: Config) -> OptimWrapper:
    """The config's optimizer in single precision, as mixed precision needs a GPU."""
    wrapper = cfg.get('optim_wrapper') or {}
    kept = ('optimizer', 'constructor', 'paramwise_cfg', 'clip_grad')
    settings = {key: wrapper[key] for key in kept if wrapper.get(key)}
    settings = dict(type='OptimWrapper', optimizer=ADAMW) | settings
    return build_optim_wrapper(model, settings)


def _without_gradient(module: nn.Module) -> list[str]:
    """Names of trainable parameters without a gradient."""
    return [
        name
        for name, parameter in module.named_parameters()
        if parameter.requires_grad and parameter.grad is None
    ]
