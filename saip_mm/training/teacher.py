"""The teacher's momentum, and the share of its initial weights that is left in it."""

import math
from typing import NamedTuple

import numpy as np


class TeacherMomentum(NamedTuple):
    """Momentum of the teacher during training: half a cosine."""

    start: float  # at the first step
    end: float  # would follow the last step
    steps: int  # of the optimizer

    def at(self, step: int) -> float:
        """Momentum at a step, counted from 0."""
        falling = (1 + math.cos(math.pi * step / self.steps)) / 2
        return self.end - (self.end - self.start) * falling

    def initial_share(self) -> float:
        """Share of initial weights that is left at the end: the product of momenta."""
        falling = (1 + np.cos(np.pi * np.arange(self.steps) / self.steps)) / 2
        return float(np.prod(self.end - (self.end - self.start) * falling))

    def limited(self, share: float) -> 'TeacherMomentum':
        """Lower ``start`` until at most ``share`` of the initial weights is left."""
        if self.initial_share() <= share:
            return self
        low, high = 0.0, self.start  # a first step without momentum leaves nothing
        for _ in range(40):
            middle = (low + high) / 2
            if self._replace(start=middle).initial_share() <= share:
                low = middle
            else:
                high = middle
        return self._replace(start=low)
