"""From a stock config to one with our backbone that has trained a step."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config
from mmpretrain.models.backbones import VisionTransformer

from ...checkpoints.backbone import PREFIXES, architecture_of, choose_backbone, colours
from ...checkpoints.checkpoint import (
    LoadReport,
    fit_backbone,
    read_checkpoint,
    resolve_checkpoint,
)
from ...checkpoints.convert import state_dict_of
from .inputs import trial_sizes
from .plan import NotClean, Weights, dropped_settings, plain, plan_changes
from .stock import Level, Refusal, Stock, measure_levels, read_stock, reason
from .text import config_text
from .trial import Trial, try_config


@dataclass
class Swapped:
    """What came of it.

    Attributes:
        levels: What the original backbone gave, and ours does.
        adapted: Whether neck or heads were told new channels; otherwise 1×1
            convolutions make the old ones.
        report: How the weights fitted.
        loss: Of one training step; None if it was not tried.
        not_tried: Why not.
        dropped: Settings of the original config that do not apply any more.
    """

    levels: Sequence[Level]
    adapted: bool
    report: LoadReport
    loss: float | None
    not_tried: str = ''
    dropped: Sequence[str] = ()


def swap_backbone(name: str, checkpoint: str, out: str | os.PathLike) -> Swapped:
    """Write a config that inherits another and has a pretrained SAIPViT.

    It is written when it has built, loaded the weights and trained one step on random
    images (if inputs for its task can be made).

    Args:
        name: ``library::path`` of a config that a library ships, or a file.
        checkpoint: An exported backbone, a training checkpoint or a work directory.
        out: The config to write.

    Raises:
        Refusal: If the config cannot be given the backbone; says why.
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If the checkpoint cannot be read safely or holds no ViT.
    """
    out = Path(out)
    weights = read_weights(checkpoint)
    stock = read_stock(name, out)
    levels = measure_levels(stock)
    draft = out.with_name(f'draft_{os.getpid()}_{out.name}')
    out.parent.mkdir(parents=True, exist_ok=True)

    def attempt(
        adapt: bool, unused: Sequence[int] = (), idle: Sequence[str] = ()
    ) -> Trial:
        changes = plain(plan_changes(stock, weights, levels, adapt, unused, idle))
        draft.write_text(config_text(stock, changes, out, unused))
        return try_config(Config.fromfile(draft), stock, weights)

    try:
        adapted, trial, idle = _first_that_works(attempt, stock)
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)
    dropped = dropped_settings(stock, idle)
    return Swapped(levels, adapted, trial.report, trial.loss, trial.not_tried, dropped)


def _first_that_works(
    attempt: Callable[..., Trial], stock: Stock
) -> tuple[bool, Trial, list[str]]:
    """Adapt neck or heads; where that fails, give them the channels that they had.

    Returns:
        Which of both, the trial, and the ``custom_keys`` that were left out for it.

    Raises:
        Refusal: If neither trains a step; says so of the stock config if that is why.
    """
    failure: Exception | None = None
    for adapt in (True, False):
        try:
            first = trial = attempt(adapt)
            if first.unused or first.idle:
                trial = attempt(adapt, first.unused, first.idle)
            return adapt, trial, first.idle
        except NotClean as error:
            not_clean = error
        except Refusal:
            raise
        except Exception as error:  # whatever another library's model may raise
            failure = error
    if failure is None:
        raise Refusal(str(not_clean)) from not_clean
    sizes = ' and '.join(f'{h}×{w}' for h, w in trial_sizes(stock))
    try:
        try_config(stock.cfg, stock)
    except Exception as error:
        raise Refusal(
            f'a training step on random images of {sizes} pixels (h×w) fails with its '
            f'own backbone too: {reason(error)}'
        ) from error
    raise Refusal(
        f'a training step on random images of {sizes} pixels (h×w) fails with this '
        f'backbone only: {reason(failure)}'
    ) from failure


def read_weights(checkpoint: str) -> Weights:
    """What a config has to know of a checkpoint.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it cannot be read safely, or holds no ViT with a patch grid.
    """
    path = resolve_checkpoint(checkpoint)
    content = read_checkpoint(path)
    try:
        backbone, role = choose_backbone(content)
        colour = colours(content, backbone)
        backbone, _ = fit_backbone(backbone)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    arch = architecture_of(backbone)
    zoo = VisionTransformer.arch_zoo
    names = [name for name in ('deit-tiny', *zoo) if arch.items() == zoo[name].items()]
    training = any(n.startswith(PREFIXES['teacher']) for n in state_dict_of(content))
    return Weights(
        checkpoint=str(checkpoint),
        prefix=PREFIXES[role] if training else '',
        arch=names[0] if names else arch,
        channels=arch['embed_dims'],
        num_layers=arch['num_layers'],
        patch_size=backbone.patch_size,
        **colour,
    )
