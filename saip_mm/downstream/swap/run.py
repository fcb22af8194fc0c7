"""From a stock config to one with our backbone that has trained a step."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from ...checkpoints.backbone import Backbone, read_backbone
from .inputs import trial_sizes
from .plan import NotClean, dropped_settings, plan_changes
from .stock import Level, Refusal, Stock, measure_levels, read_stock, reason
from .trial import Trial, try_config

_WIDTH = 88


@dataclass
class Swapped:
    """What came of it.

    Attributes:
        levels: What the original backbone gave, and ours does.
        adapted: Whether neck or heads were told new channels; otherwise 1×1
            convolutions make the old ones.
        trial: The step that was trained.
        dropped: Settings of the original config that do not apply any more.
    """

    levels: Sequence[Level]
    adapted: bool
    trial: Trial
    dropped: Sequence[str]


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
        FileNotFoundError: If the checkpoint does not exist.
        ValueError: If the checkpoint cannot be read safely or holds no ViT.
    """
    out = Path(out)
    backbone = read_backbone(checkpoint)
    stock = read_stock(name, out)
    swap = _Swap(stock, backbone, measure_levels(stock), out)
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        swapped = swap.first_that_works()
        swap.draft.replace(out)
    finally:
        swap.draft.unlink(missing_ok=True)
    return swapped


class _Swap:
    """One config, tried in several ways in a draft beside ``out``."""

    def __init__(
        self, stock: Stock, backbone: Backbone, levels: Sequence[Level], out: Path
    ) -> None:
        self.stock, self.backbone, self.levels = stock, backbone, levels
        self.out = out
        self.draft = out.with_name(f'draft_{os.getpid()}_{out.name}')

    def first_that_works(self) -> Swapped:
        """Adapt neck or heads; where that fails, give them the channels that they had.

        Raises:
            Refusal: If neither trains a step; says so of the stock config if that is
                why.
        """
        failure: Exception | None = None
        for adapt in (True, False):
            try:
                trial = self.attempt(adapt)
                idle = trial.idle
                if trial.unused or idle:
                    trial = self.attempt(adapt, trial.unused, idle)
                dropped = dropped_settings(self.stock, idle)
                return Swapped(self.levels, adapt, trial, dropped)
            except NotClean as error:
                not_clean = error
            except Refusal:
                raise
            except Exception as error:  # whatever another library's model may raise
                failure = error
        if failure is None:
            raise Refusal(str(not_clean)) from not_clean
        sizes = ' and '.join(f'{h}×{w}' for h, w in trial_sizes(self.stock))
        step = f'a training step on random images of {sizes} pixels (h×w) fails with'
        try:
            try_config(self.stock.cfg, self.stock)
        except Exception as error:
            raise Refusal(f'{step} its own backbone too: {reason(error)}') from error
        raise Refusal(f'{step} this backbone only: {reason(failure)}') from failure

    def attempt(
        self, adapt: bool, unused: Sequence[int] = (), idle: Sequence[str] = ()
    ) -> Trial:
        """Write the draft, and train a step with it."""
        changes = plan_changes(
            self.stock, self.backbone, self.levels, adapt, unused, idle
        )
        self.draft.write_text(_text(self.stock, changes, self.out, unused))
        return try_config(Config.fromfile(self.draft), self.stock, self.backbone)


def _text(stock: Stock, changes: dict, out: Path, unused: Sequence[int]) -> str:
    """A config at ``out`` that inherits ``stock`` and states ``changes``."""
    note = ''
    if unused:
        levels = ', '.join(map(str, unused))
        note = f"Nothing learns from level {levels}: it keeps the ViT's own stride.\n"
    base = f'_base_ = {stock.base}'
    return (
        f'"""{stock.name}\nwith a pretrained SAIPViT backbone.\n\n'
        f'Written by tools/swap_backbone.py: it states what differs.\n{note}'
        f'Train it with\n\n    python tools/train.py {out}\n"""\n\n'
        f'{base}{"  # noqa: E501" if len(base) > _WIDTH else ""}\n\n'
    ) + '\n'.join(f'{source(value, key + " = ")}\n' for key, value in changes.items())


def source(value: object, name: str = '', indent: int = 0) -> str:
    """A value of a config as Python: on one line if it fits, else a line per item.

    Args:
        value: Numbers, strings, None, and dicts, lists and tuples of such.
        name: What comes before it.
        indent: Columns before the line.
    """
    if not isinstance(value, dict | list | tuple):
        return f'{name}{value!r}'
    items = [('', item) for item in value]
    brackets = '[]' if isinstance(value, list) else '()'
    if isinstance(value, dict):
        named = all(isinstance(key, str) and key.isidentifier() for key in value)
        brackets = ('dict(', ')') if named else '{}'
        items = [(f'{k}=' if named else f'{k!r}: ', v) for k, v in value.items()]
    parts = [source(item, before, indent + 4) for before, item in items]
    comma = ',' if isinstance(value, tuple) and len(value) == 1 else ''
    line = f'{name}{brackets[0]}{", ".join(parts)}{comma}{brackets[1]}'
    if '\n' not in line and indent + len(line) < _WIDTH:
        return line
    inner = ''.join(f'{" " * (indent + 4)}{part},\n' for part in parts)
    return f'{name}{brackets[0]}\n{inner}{" " * indent}{brackets[1]}'
