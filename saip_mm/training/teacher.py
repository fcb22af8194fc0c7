"""How a moving average follows, and how much of its initial weights it keeps."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

START_SHARE = 'teacher_start_share'  # in a checkpoint's message hub
MUCH = 0.1  # of the initial weights left at the end: worth a warning
ENOUGH = 0.001  # what a warning suggests to leave


class TeacherMomentum(NamedTuple):
    """Momentum of the teacher in every step of a training: half a cosine.

    Attributes:
        start: Momentum at the first step.
        end: Momentum that it would reach after the last step.
        steps: Number of optimizer steps.
    """

    start: float
    end: float
    steps: int

    def at(self, step: int) -> float:
        """Momentum at a step, counted from 0."""
        falling = (1 + math.cos(math.pi * step / self.steps)) / 2
        return self.end - (self.end - self.start) * falling

    def start_share(self, since: int = 0, until: int | None = None) -> float:
        """Share of the weights before step ``since`` that the teacher still holds
        before step ``until`` (at the end, by default): the product of the momenta."""
        steps = np.arange(since, self.steps if until is None else until)
        falling = (1 + np.cos(np.pi * steps / self.steps)) / 2
        return float(np.prod(self.end - (self.end - self.start) * falling))

    def limited(self, share: float) -> 'TeacherMomentum':
        """The same with a start so low that at most ``share`` is left at the end."""
        if self.start_share() <= share:
            return self
        low, high = 0.0, self.start  # a first step without momentum leaves nothing
        for _ in range(40):
            middle = (low + high) / 2
            if self._replace(start=middle).start_share() <= share:
                low = middle
            else:
                high = middle
        return self._replace(start=low)

    def __str__(self) -> str:
        return (
            f'teacher momentum {self.start:.6g} → {self.end:.6g} over {self.steps:,} '
            'steps'
        )


def advice(momentum: TeacherMomentum, epochs: int) -> str:
    """What to do about a teacher that keeps much of its initial weights.

    Args:
        momentum: Of a training.
        epochs: Its length.
    """
    limited = momentum.limited(ENOUGH)
    lower = (
        f'set default_hooks.saip.max_start_share={ENOUGH} (the momentum then starts '
        f'at {limited.start:.4g})'
    )
    share = momentum.start_share()
    if share in (0, 1):
        return lower
    longer = math.ceil(epochs * math.log(MUCH) / math.log(share))
    return (
        f'{lower}, or train for {longer:,} epochs instead of {epochs:,} '
        f'(train_cfg.max_epochs={longer} and the end of the last param_scheduler)'
    )


def saved_start_share(checkpoint: Mapping) -> float | None:
    """Share of its initial weights that the teacher of a training checkpoint holds.

    Returns:
        From 0 to 1; None if the checkpoint does not say.
    """
    hub = checkpoint.get('message_hub')
    info = hub.get('runtime_info') if isinstance(hub, Mapping) else None
    share = info.get(START_SHARE) if isinstance(info, Mapping) else None
    return share if type(share) is float and 0 <= share <= 1 else None
