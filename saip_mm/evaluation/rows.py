"""Rows of a comparison, and the folders of their runs."""

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
from .features import BASELINES
from .subject import RANDOM

# Key of the photographs to probe on, in the config of a row.
PROBED = 'probed_people'
# Settings that matter to rows without training.
_UNTRAINED = (
    'custom_imports',
    'data_preprocessor',
    'default_scope',
    'model',
    PROBED,
)


class Locked(RuntimeError):
    """Another process is working on a run."""


@dataclass(frozen=True)
class Row:
    """A config, its initialization, or a baseline.

    The folder of a row contains its resolved config and a folder per seed. All runs of
    a row use that copy, so that edits in between cannot mix two experiments.

    Attributes:
        folder: Its name is the name of the row.
        config: The resolved config; its seed has no effect.
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
        """One run per seed; a single one for a baseline, which is deterministic."""
        return [
            Run(self, seed) for seed in ([None] if self.name in BASELINES else seeds)
        ]

    def saved_seeds(self) -> set[int]:
        """Seeds that have a folder."""
        names = (path.name.removeprefix('seed') for path in self.folder.glob('seed*'))
        return {int(name) for name in names if name.isdecimal()}

    def freeze(self) -> None:
        """Save the config, or compare it with the saved one.

        Raises:
            ValueError: If the row was started with another config.
        """
        if not self.config_file.exists():
            write_text(self.config_file, self.config.pretty_text)
        saved = _read_config(self.config_file)
        if digest(saved) != digest(self.config):
            raise ValueError(
                f'{self.folder} was started with another config; since then changed: '
                f'{_differences(saved.to_dict(), self.config.to_dict())}. Choose '
                'another --work-dir, or move the folder away'
            )


@dataclass(frozen=True)
class Run:
    """A row with one seed; None for a baseline."""

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
                f'{error}): delete it to probe again'
            ) from error
        if made_with != digest(self.row.config):
            raise ValueError(
                f'{self.result_file} was made with a config other than that of the row '
                f'{self.row.name}: choose another --work-dir, or move it away'
            )
        return result

    def training(self) -> dict:
        """``seconds`` of training so far, with start-up, and whether ``finished``."""
        file = self.folder / 'training.json'
        if not file.exists():
            return dict(seconds=0.0, finished=False)
        return json.loads(file.read_text())

    @contextmanager
    def locked(self) -> Iterator[IO]:
        """Lock this run against other processes; yields the open lock file.

        A trainer that inherits the file keeps the lock if it outlives its parent.

        Raises:
            Locked: If another process holds the lock.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / 'lock', 'a') as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Locked(f'{self}: another process is working on it') from None
            yield file


def find_rows(work_dir: Path) -> list[Row]:
    """All rows of a work directory, by name."""
    configs = sorted(work_dir.glob('*/config.py'))
    return [Row(config.parent, _read_config(config)) for config in configs]


def untrained(config: Config) -> Config:
    """The settings of a config that matter to rows without training."""
    kept = {key: config[key] for key in _UNTRAINED if key in config}
    dataset = config.train_dataloader.dataset
    return Config(dict(kept, train_dataloader=dict(dataset=dataset)))


def digest(config: Config) -> str:
    """SHA-256 of a config's settings, regardless of their order and of comments."""
    text = json.dumps(config.to_dict(), sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()


def _read_config(file: Path) -> Config:
    return parse_config(file.read_text(encoding='utf-8'), str(file))


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
