"""Labels of images in CSV files."""

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..data.folders import require_files
from ..files import read_text


class AttributeImages(NamedTuple):
    """Images with attributes."""

    paths: list[str]
    pids: list[str]
    """[N] identities; the path, if the file does not give one."""
    labels: np.ndarray
    """bool [N, A]"""
    attributes: list[str]
    """[A] names."""

    def take(self, positions: Sequence[int]) -> 'AttributeImages':
        """The images at some positions."""
        return AttributeImages(
            [self.paths[i] for i in positions],
            [self.pids[i] for i in positions],
            self.labels[positions],
            self.attributes,
        )


def read_rows(file: Path, needed: set[str]) -> dict[int, dict[str, str]]:
    """Rows, by line, of a CSV file whose column ``path`` names images beside it.

    Args:
        file: CSV file with a header.
        needed: Columns that the file should have.

    Raises:
        OSError: If the file or an image is missing.
        ValueError: If the file is malformed, or a column is missing or repeated.
    """
    reader = csv.DictReader(io.StringIO(read_text(file), newline=''), strict=True)
    rows = {}
    try:
        for row in reader:  # which skips blank lines
            if any(row.values()):  # Excel may end with rows of empty cells
                rows[reader.line_num] = row
    except csv.Error as error:
        raise ValueError(f'{file}: is not a CSV file: {error}') from error
    columns = reader.fieldnames if rows else []
    if not needed <= set(columns):
        hint = ''
        if len(columns) == 1 and any(each in columns[0] for each in ';\t'):
            hint = '; save it with commas between columns'
        raise ValueError(
            f'{file}: needs the columns {", ".join(sorted(needed))}, and has '
            f'{", ".join(columns) or "no rows"}{hint}'
        )
    if repeated := {name for name in columns if name and columns.count(name) > 1}:
        raise ValueError(
            f'{file}: has more than one column {", ".join(sorted(repeated))}; rename '
            'or remove the others'
        )
    for line, row in rows.items():
        if None in row or None in row.values():
            raise ValueError(f'{file}, line {line}: should have {len(columns)} values')
        row['path'] = row['path'] and os.path.normpath(row['path'])
    require_files(
        file,
        str(file.parent),
        [row['path'] for row in rows.values()],
        'paths are relative to the folder of the CSV file, with / between folders',
        lines=list(rows),
    )
    return rows


def read_attributes(file: Path) -> dict[str, AttributeImages]:
    """Read the images of the splits ``'train'`` and ``'test'``.

    Args:
        file: CSV file with the columns ``path`` (below its folder), ``split`` (train or
            test), optionally ``identity``, and one per attribute, of 0 and 1.

    Raises:
        OSError: If a file is missing.
        ValueError: If the file is malformed or a split is empty.
    """
    rows = read_rows(file, {'path', 'split'})
    columns = next(iter(rows.values()))
    names = [each for each in columns if each not in ('path', 'identity', 'split')]
    if not names:
        raise ValueError(f'{file}: needs a column per attribute, of 0 and 1')
    if '' in names:
        raise ValueError(f'{file}: a column has no name; name it, or remove it')
    splits = {'train': [], 'test': []}
    for line, row in rows.items():
        if row['split'] not in splits:
            raise ValueError(
                f'{file}, line {line}: split is {row["split"]!r}: write train or test'
            )
        if bad := [name for name in names if row[name] not in ('0', '1')]:
            raise ValueError(
                f'{file}, line {line}: {bad[0]} is {row[bad[0]]!r}: write 0 or 1'
            )
        splits[row['split']].append(row)
    if empty := [split for split, found in splits.items() if not found]:
        raise ValueError(f'{file}: no row has the split {empty[0]}')
    train, test = ({row['path'] for row in found} for found in splits.values())
    if both := sorted(train & test):
        raise ValueError(
            f'{file}: {len(both)} images are in both splits, such as {both[0]}; keep '
            'each in one'
        )
    return {
        split: AttributeImages(
            [str(file.parent / row['path']) for row in found],
            [row.get('identity') or row['path'] for row in found],
            np.array([[row[name] == '1' for name in names] for row in found]),
            names,
        )
        for split, found in splits.items()
    }
