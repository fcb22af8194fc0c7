"""Fine-tuning of downstream configs from given weights, as runs with results."""

import argparse
import copy
import json
import math
import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope

from ..checkpoints.files import resolve_checkpoint
from ..files import sha256, write_text
from ..training.config import Options, load_config
from .runs import Run, RunFailed, facts, run_tool, save, train
from .subject import RANDOM


@dataclass(frozen=True)
class FineTuning(Run):
    """A run that trains a downstream config, and tests it."""

    share: float = 1.0  # of the labels, drawn by the seed

    @property
    def training(self) -> Path:
        # A file, because a command line is too short for many labels.
        return self.row / (f'labels{self.seed}.py' if self.share < 1 else 'config.py')

    def complete(self, deadline: float = math.inf) -> None:
        """Train, test and write the result; errors are those of :func:`runs.train`."""
        if self.share < 1:
            try:
                drawn = dict(indices=draw_labels(self.config, self.share, self.seed))
            except (OSError, ValueError) as error:  # missing or malformed data
                raise RunFailed(f'{self}: {error}') from error
            changed = f'train_dataloader = dict(dataset={drawn})\n'
            write_text(self.training, f"_base_ = 'config.py'\n{changed}")
        train(self, deadline=deadline)
        tested = self.folder / 'test'
        arguments = [self.row / 'config.py', self.folder, '--work-dir', tested]
        run_tool('test', self, arguments)
        metrics = json.loads(max(tested.glob('*/*.json')).read_text())
        # COCO's metrics are -1 where nothing is annotated, such as no small object.
        left_out = {name for name, value in metrics.items() if value == -1}
        for name in ('time', 'data_time', *left_out):
            metrics.pop(name, None)
        save(self, facts(self), metrics)


def downstream_config(file: str | Path, options: Options = ()) -> Config:
    """Load a config to fine-tune.

    Raises:
        ValueError: If its backbone names no initial weights to replace.
    """
    config = load_config(str(file), options)
    start = config.get('model', {}).get('backbone', {}).get('init_cfg')
    if not isinstance(start, dict) or 'checkpoint' not in start:
        raise ValueError(
            f'{file}: its backbone has no weights to replace; add '
            "init_cfg=dict(type='Pretrained', checkpoint='backbone.pth') to it"
        )
    return config


def started_from(weights: str | Path, config: Config) -> Config:
    """The config of :func:`downstream_config` with other initial weights.

    These are ``'random'``, or what :func:`resolve_checkpoint` accepts, also for errors.
    """
    config = copy.deepcopy(config)
    if weights == RANDOM:
        config.model.backbone.init_cfg = None
    else:
        # Runs of a folder use the same config, and hence the same content of the file.
        config.weights_sha256 = sha256(resolve_checkpoint(weights))
        if Path(weights).exists():  # else the name of packaged weights
            weights = Path(weights).resolve()
        config.model.backbone.init_cfg.checkpoint = str(weights)
    return config


def add_shares_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--shares`` of the labels to a command line."""
    parser.add_argument(
        '--shares',
        nargs='+',
        type=share,
        default=[1.0],
        help='shares of the labels to fine-tune with (default: 1, all)',
    )


def share(text: str) -> float:  # argparse prints the name
    if not 0 < (number := float(text)) <= 1:
        raise argparse.ArgumentTypeError(f'{text} should be above 0 and at most 1')
    return number


def named_shares(name: str | Path, shares: Iterable[float]) -> dict[str, float]:
    """Shares of the labels by name of a row, such as ``pose_10`` for a tenth."""
    return {f'{Path(name).stem}_{100 * share:g}': share for share in shares}


def draw_labels(config: Config, share: float, seed: int) -> list[int]:
    """Indices of a share of the training images or, where known, of the people."""
    scope = config.get('default_scope')
    with DefaultScope.overwrite_default_scope(scope):
        dataset = DATASETS.build(dict(config.train_dataloader.dataset, pipeline=[]))
    groups = defaultdict(list)
    for index in range(len(dataset)):
        groups[dataset.get_data_info(index).get('pid', index)].append(index)
    count = max(1, round(share * len(groups)))
    drawn = random.Random(seed).sample(list(groups), count)
    return sorted(index for group in drawn for index in groups[group])
