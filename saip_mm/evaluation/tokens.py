"""Readouts: which features of an image are compared, chosen on training people."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

COMPONENTS = 64  # of whitening
SHRINKAGE = 0.1


class Whitening(NamedTuple):
    """Principal components of features, divided by their standard deviations."""

    mean: Tensor
    """[D]"""
    weight: Tensor
    """[D, K]"""

    def __call__(self, features: Tensor) -> Tensor:
        """[N, D] → [N, K], in double precision."""
        return (features.double() - self.mean) @ self.weight


def fit_whitening(features: Tensor) -> Whitening:
    """Fit to unlabeled features [N, D]; keeps at most ``COMPONENTS`` directions.

    ``SHRINKAGE`` times the mean variance is added to every variance, so that directions
    without signal are not amplified.
    """
    features = features.double()
    mean = features.mean(dim=0)
    _, singular, directions = torch.linalg.svd(features - mean, full_matrices=False)
    variance = singular**2 / len(features)
    scale = (variance + SHRINKAGE * variance.mean()).clamp_min(1e-12).sqrt()
    kept = min(COMPONENTS, len(scale))
    return Whitening(mean, directions[:kept].T / scale[:kept])


def rank_me(features: Tensor) -> float:
    """Effective rank of features [N, D]: RankMe (Garrido et al., arXiv 2210.02885).

    The exponential of the entropy of the normalized singular values. It needs no labels
    and compares trainings of one method only: more is not better between methods.
    """
    singular = torch.linalg.svdvals(features.double())
    return torch.special.entr(singular / singular.sum()).sum().exp().item()


class Readout(NamedTuple):
    """The features by which images are compared."""

    token: str = 'image'
    whitening: Whitening | None = None

    def __call__(self, tokens: dict[str, Tensor]) -> Tensor:
        """Tokens [N, D] by name → features [N, K]."""
        features = tokens[self.token]
        return features if self.whitening is None else self.whitening(features)

    def __str__(self) -> str:
        return f'{self.token} token{"" if self.whitening is None else ", whitened"}'


def choose_readout(
    fitted: dict[str, Tensor],
    score: Callable[[Readout], float],
    whiten: bool = True,
) -> Readout:
    """The readout with the best score; the first one of equals.

    Args:
        fitted: Tokens [N, D] by name that whitening is fitted to, without labels.
        score: Score of a readout on other people.
        whiten: Whether to try every token whitened as well.
    """
    choices = []
    for token, features in fitted.items():
        choices.append(Readout(token))
        if whiten:
            choices.append(Readout(token, fit_whitening(features)))
    return max(choices, key=score)
