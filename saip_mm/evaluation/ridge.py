"""Ridge regression, solved in closed form."""

from typing import NamedTuple

import torch
from torch import Tensor

STRENGTH = 1e-2


class LinearMap(NamedTuple):
    """Standardise, multiply, add."""

    mean: Tensor
    """[D] of the training design."""
    scale: Tensor
    """[D], its standard deviations."""
    weight: Tensor
    """[D, T]"""
    bias: Tensor
    """[T]"""

    def __call__(self, design: Tensor) -> Tensor:
        """[N, D] → [N, T], in double precision."""
        return (design.double() - self.mean) / self.scale @ self.weight + self.bias


def fit_ridge(design: Tensor, targets: Tensor, strength: float = STRENGTH) -> LinearMap:
    """Fit targets linearly to standardised features.

    Minimises the mean over the rows of the squared error, plus ``strength`` times the
    squared length of the weights; the bias is free. With features of variance 1 one
    strength suits any network and any number of rows.

    Args:
        design: [N, D] features; constant ones are left without effect.
        targets: [N, T].
        strength: Above 0.

    Raises:
        ValueError: If a feature is not finite.
    """
    if not design.isfinite().all():
        raise ValueError('features are not finite: the network is of no use')
    design, targets = design.double(), targets.double()
    mean, bias = design.mean(dim=0), targets.mean(dim=0)
    scale = design.std(dim=0, correction=0)
    scale = scale.where(scale > 1e-9 * (1 + mean.abs()), 1)
    design = (design - mean).div_(scale)
    gram = design.T @ design / len(design)
    gram.diagonal().add_(strength)
    moment = design.T @ (targets - bias) / len(design)
    weight = torch.linalg.solve(gram, moment, left=True)
    return LinearMap(mean, scale, weight, bias)
