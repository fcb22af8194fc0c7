"""Attributes of people in photographs, by linear maps."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ..data.folders import require_files
from .photographs import embed_files
from .readout import attribute_accuracy
from .subject import Subject, log
from .tokens import Readout, choose_readout

MAX_IMAGES = 4000  # of a split


def probe_attributes(subject: Subject, file: str | Path) -> dict[str, float]:
    """Attributes by ridge regression, from the token that is best for training people.

    Args:
        subject: Subject of the probe.
        file: CSV file with the columns ``path`` (below its folder), ``split`` (train or
            test), maybe ``identity``, and one of 0 and 1 per attribute. At most
            ``MAX_IMAGES`` images of each split are used, at equal distances.

    Raises:
        OSError: If a file is missing or cannot be read.
        ValueError: If the file is malformed, or no attribute varies.
    """
    file = Path(file)
    name = file.resolve().parent.name
    train, test = read_attributes(file)
    log(
        f'{name}: {len(test.paths)} images for testing, {len(train.paths)} others for '
        f'fitting; {train.labels.shape[1]} attributes'
    )
    tokens = embed_files(subject, train.paths).tokens
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
        tested = readout(embed_files(subject, test.paths).tokens)
        accuracy = attribute_accuracy(
            readout(tokens), labels, tested, torch.from_numpy(test.labels)
        )
    except ValueError as error:
        raise ValueError(f'{file}: {error}') from error
    return {f'{name}/mA': accuracy}


class AttributeImages(NamedTuple):
    """Images with attributes."""

    paths: list[str]
    pids: list[str]
    """[N] who is seen; the path, if the file does not say it."""
    labels: np.ndarray
    """bool [N, A]"""


def read_attributes(file: Path) -> tuple[AttributeImages, AttributeImages]:
    """Training and test images of a CSV file; see :func:`probe_attributes`."""
    try:
        with open(file, newline='', encoding='utf-8') as text:
            rows = list(csv.DictReader(text, strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f'{file}: is not a CSV file in UTF-8: {error}') from error
    columns = list(rows[0]) if rows else []
    names = [each for each in columns if each not in ('path', 'identity', 'split')]
    if not {'path', 'split'} < set(columns) or not names:
        raise ValueError(
            f'{file}: needs the columns path and split and one per attribute, and has '
            f'{", ".join(map(str, columns)) or "no rows"}'
        )
    parts = {'train': [], 'test': []}
    for line, row in enumerate(rows, 2):
        if row['split'] not in parts:
            raise ValueError(
                f'{file}, line {line}: split is {row["split"]!r}: write train or test'
            )
        if bad := [name for name in names if row[name] not in ('0', '1')]:
            raise ValueError(
                f'{file}, line {line}: {bad[0]} is {row[bad[0]]!r}: write 0 or 1'
            )
        parts[row['split']].append(row)
    if empty := [part for part, found in parts.items() if not found]:
        raise ValueError(f'{file}: no row has the split {empty[0]}')
    require_files(
        file,
        str(file.parent),
        [row['path'] for row in rows],
        'paths are relative to the folder of the CSV file',
    )
    return tuple(_attribute_images(file, found, names) for found in parts.values())


def _attribute_images(file: Path, rows: list[dict], names: list[str]):
    if len(rows) > MAX_IMAGES:
        kept = np.linspace(0, len(rows) - 1, MAX_IMAGES).round().astype(int)
        rows = [rows[i] for i in kept]
    return AttributeImages(
        [str(file.parent / row['path']) for row in rows],
        [row.get('identity') or row['path'] for row in rows],
        np.array([[row[name] == '1' for name in names] for row in rows]),
    )
