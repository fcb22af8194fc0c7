"""Boxes of search results, against a flood fill."""

import numpy as np
import pytest

from saip_mm.predictions.scenes import locate


def test_boxes_enclose_patches_connected_with_the_best():
    rng, scale = np.random.default_rng(0), (20, 10, 20, 10)
    for _ in range(50):
        values = rng.random((6, 5)) ** 2
        score, box = locate(values, (60, 100))
        region, old = values == values.max(), None
        while old is None or (region != old).any():  # flood fill, 8 neighbors
            old, padded = region, np.pad(region, 1)
            near = [padded[i : i + 6, j : j + 5] for i in range(3) for j in range(3)]
            region = np.any(near, axis=0) & (values > 0.5)
        rows, columns = np.nonzero(region)
        limits = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        assert box == [side * each for side, each in zip(limits, scale, strict=True)]
        assert score == pytest.approx(values.max(), abs=1e-4)
    assert locate(np.full((6, 5), 0.5), (60, 100)) == (0.5, None)
