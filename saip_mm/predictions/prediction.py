"""An answer of a model."""

from typing import NamedTuple

import numpy as np


class Prediction(NamedTuple):
    """The answer for an image, or for a sentence, which takes the place of the path."""

    path: str
    answer: dict | list
    """Plain data, see :func:`~saip_mm.predictions.predict`."""
    sample: object
    """The library's data sample; heat maps of a search, by scene."""
    image: np.ndarray | None = None
    """RGB, uint8 [h, w, 3]; None for a sentence."""
