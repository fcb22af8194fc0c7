"""Ridge regression, against scikit-learn's."""

import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from saip_mm.evaluation.ridge import fit_ridge


@pytest.mark.parametrize('strength', [1e-4, 1e-2, 1.0])
def test_agrees_with_scikit_learn(strength):
    rng = torch.Generator().manual_seed(0)
    design = torch.randn(200, 12, generator=rng) * torch.logspace(-3, 3, 12) + 5
    design[:, 3] = 7  # a feature that never changes
    targets = torch.randn(200, 4, generator=rng) + design[:, :4]
    test = torch.randn(50, 12, generator=rng) * torch.logspace(-3, 3, 12) + 5
    scaler = StandardScaler().fit(design.double())
    ridge = Ridge(alpha=strength * len(design))
    ridge.fit(scaler.transform(design.double()), targets.double())
    expected = ridge.predict(scaler.transform(test.double()))
    predicted = fit_ridge(design, targets, strength)(test)
    torch.testing.assert_close(
        predicted, torch.from_numpy(expected), rtol=1e-6, atol=1e-6
    )


def test_features_that_are_not_finite_are_refused():
    design = torch.ones(4, 2)
    design[1, 1] = torch.inf
    with pytest.raises(ValueError, match='not finite'):
        fit_ridge(design, torch.ones(4, 1))
