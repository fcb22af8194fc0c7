"""Attributes of people in photographs, by linear maps."""

from pathlib import Path

import numpy as np
import torch

from ..downstream.attributes_csv import AttributeImages, read_attributes
from .readout import attribute_accuracy
from .subject import Subject, log
from .tokens import Readout, choose_readout

MAX_IMAGES = 4000  # of a split


def probe_attributes(subject: Subject, file: str | Path) -> dict[str, float]:
    """Attributes by ridge regression, from the token that is best for training people.

    Args:
        subject: Subject of the probe.
        file: CSV file; see :func:`read_attributes`. At most ``MAX_IMAGES`` images of
            each split are used, at equal distances.

    Raises:
        OSError: If a file is missing or cannot be read.
        ValueError: If the file is malformed, or no attribute varies.
    """
    file = Path(file)
    name = file.resolve().parent.name
    train, test = map(_thinned, read_attributes(file).values())
    log(
        f'{name}: {len(test.paths)} images for testing, {len(train.paths)} others for '
        f'fitting; {train.labels.shape[1]} attributes'
    )
    tokens = subject.embed(train.paths).tokens
    half = torch.from_numpy(np.unique(train.pids, return_inverse=True)[1] % 2 == 0)
    labels = torch.from_numpy(train.labels)

    def score(readout: Readout) -> float:
        features = readout(tokens)
        return attribute_accuracy(
            features[half], labels[half], features[~half], labels[~half]
        )

    try:
        readout = choose_readout(tokens, score, whiten=False)
        log(f'{name}: readout: {readout}')
        tested = readout(subject.embed(test.paths).tokens)
        accuracy = attribute_accuracy(
            readout(tokens), labels, tested, torch.from_numpy(test.labels)
        )
    except ValueError as error:
        raise ValueError(f'{file}: {error}') from error
    return {f'{name}/mA': accuracy}


def _thinned(images: AttributeImages) -> AttributeImages:
    """At most ``MAX_IMAGES`` images, at equal distances."""
    count = len(images.paths)
    kept = np.linspace(0, count - 1, min(count, MAX_IMAGES)).round().astype(int)
    return images.every(kept)
