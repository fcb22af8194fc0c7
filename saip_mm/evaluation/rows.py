"""Rows of a comparison, and where their runs and results are kept."""

import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mmengine.config import Config

from ..checkpoints.kept_config import parse_config
from ..files import write_text

RANDOM = 'random'
# Features without a network; of a config they need the size of the images.
BASELINES = ('mean-colour', 'histogram', 'pixels')
# What of a config matters to rows that are not trained.
UNTRAINED = ('custom_imports', 'default_scope', 'model')


class Locked(RuntimeError):
    """Another process is at work on a run."""


@dataclass(frozen=True)
class Row:
    """One row of the table: a config, its initialisation, or a baseline.

    The folder of a row holds its config as it was resolved when its first run began,
    and a folder per seed. All runs of a row take that copy, so that an edit in between
    cannot mix two experiments.

    Attributes:
        folder: Where it is kept; its name is the name of the row.
        config: The resolved config, whose seed has no effect.
    """

    folder: Path
    config: Config

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def config_file(self) -> Path:
        return self.folder / 'config.py'

    @property
    def is_trained(self) -> bool:
        return self.name not in (RANDOM, *BASELINES)

    def runs(self, seeds: list[int]) -> list['Run']:
        """A run per seed; a baseline has a single one, as nothing in it is random."""
        if self.name in BASELINES:
            return [Run(self, None)]
        return [Run(self, seed) for seed in seeds]

    def freeze(self) -> None:
        """Keep the config, or compare it with the one that is kept.

        Raises:
            ValueError: If the row was begun with another config.
        """
        if not self.config_file.exists():
            write_text(self.config_file, self.config.pretty_text)
        kept = read_kept(self.config_file)
        if digest(kept) != digest(self.config):
            raise ValueError(
                f'{self.folder} was begun with another config; since then changed: '
                f'{_differences(kept.to_dict(), self.config.to_dict())}. Its results '
                'would not belong together: choose another --work-dir, or move the '
                'folder away'
            )


@dataclass(frozen=True)
class Run:
    """One seed of a row.

    Attributes:
        row: The row that it belongs to.
        seed: Seed of everything random; None where nothing is.
    """

    row: Row
    seed: int | None

    @property
    def folder(self) -> Path:
        return self.row.folder / (f'seed{self.seed}' if self.seed is not None else '')

    @property
    def result_file(self) -> Path:
        return self.folder / 'result.json'

    @property
    def log(self) -> Path:
        return self.folder / 'run.log'

    def __str__(self) -> str:
        return self.row.name + ('' if self.seed is None else f' seed {self.seed}')

    def result(self) -> dict | None:
        """The result, or None if there is none yet.

        Raises:
            ValueError: If the file is damaged, or was made with another config.
        """
        if not self.result_file.exists():
            return None
        try:
            result = json.loads(self.result_file.read_text())
            made_with = result['config_sha256']
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f'{self.result_file} is not a result ({type(error).__name__}: '
                f'{error}): delete it, and the run is probed again'
            ) from error
        if made_with != digest(self.row.config):
            raise ValueError(
                f'{self.result_file} was made with another config than that of the '
                f'row {self.row.name}: choose another --work-dir, or move it away'
            )
        return result

    @contextmanager
    def locked(self) -> Iterator[IO]:
        """Keep other processes off this run; gives the open file that holds the lock.

        The lock ends with the last process that has the file open, so a trainer that
        inherits it and outlives its parent keeps it.

        Raises:
            Locked: If another process has it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / 'lock', 'a') as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Locked(f'{self}: another process is at work on it') from None
            yield file


def find_rows(work_dir: Path) -> list[Row]:
    """All rows of a work directory, by name."""
    configs = sorted(work_dir.glob('*/config.py'))
    return [Row(config.parent, read_kept(config)) for config in configs]


def read_kept(file: Path) -> Config:
    """The config of a row, read as data.

    Raises:
        ValueError: If there is more in it than plain values.
    """
    return parse_config(file.read_text(encoding='utf-8'), str(file))


def untrained(config: Config) -> Config:
    """What of a config matters to the rows that are not trained."""
    kept = {key: config[key] for key in UNTRAINED if key in config}
    dataset = config.train_dataloader.dataset
    return Config(dict(kept, train_dataloader=dict(dataset=dataset)))


def seeds_of(row: Row) -> list[int]:
    """The seeds that a row's folder has runs of."""
    names = (path.name.removeprefix('seed') for path in row.folder.glob('seed*'))
    return sorted(int(name) for name in names if name.isdecimal())


def digest(config: Config) -> str:
    """SHA-256 of a config's settings, whatever their order and its comments."""
    text = json.dumps(config.to_dict(), sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()


def _differences(before: dict, after: dict, limit: int = 4) -> str:
    before, after = dict(_flat(before)), dict(_flat(after))
    changed = [
        f'{key} from {before.get(key, "nothing")} to {after.get(key, "nothing")}'
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]
    more = f' and {len(changed) - limit} more' if len(changed) > limit else ''
    return ', '.join(changed[:limit]) + more


def _flat(tree: object, prefix: str = '') -> Iterator[tuple[str, object]]:
    if isinstance(tree, dict | list) and tree:
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        for key, value in items:
            yield from _flat(value, f'{prefix}.{key}'.lstrip('.'))
    else:
        yield prefix, tree
