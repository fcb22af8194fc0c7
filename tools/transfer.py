"""Fine-tune configs from several initial weights, with shares of the labels.

python tools/transfer.py configs/transfer/*.py --weights random saip-small \\
    --shares 0.1 1 --seeds 0 1 2 --work-dir work_dirs/transfer

Trains every config from every initialization with tools/train.py, tests the last
checkpoint with tools/test.py, and prints a table per config. All runs of a config have
as many steps. A share of the labels is drawn by the seed, of whole people in
re-identification, and is the same for all initial weights.

Rerun the command to resume: finished runs are skipped. `--table` prints the results so
far.
"""

import argparse
import json
import random
import signal
import sys
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from mmengine.utils import import_modules_from_strings

from saip_mm.checkpoints.files import resolve_checkpoint
from saip_mm.errors import one_line_errors
from saip_mm.evaluation.runs import Run, RunFailed, facts, run_tool, save, train
from saip_mm.evaluation.subject import RANDOM
from saip_mm.evaluation.table import markdown, read_result, summarize
from saip_mm.files import write_text
from saip_mm.training.config import add_options, load_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='+', type=Path, help='downstream configs')
    parser.add_argument(
        '--weights',
        nargs='+',
        default=[RANDOM, 'saip-small'],
        metavar='BACKBONE',
        help=f'{RANDOM}, names of packaged weights, or files',
    )
    parser.add_argument(
        '--shares', nargs='+', type=float, default=[1.0], help='shares of the labels'
    )
    parser.add_argument('--seeds', nargs='+', type=int, default=[0])
    parser.add_argument('--work-dir', type=Path, default='work_dirs/transfer')
    parser.add_argument('--table', action='store_true', help='print the table only')
    add_options(parser)
    args = parser.parse_args()
    if not all(0 < share <= 1 for share in args.shares):
        parser.error('--shares should be above 0 and at most 1')
    if min(args.seeds) < 0:
        parser.error('--seeds must not be negative')
    return args


def rows_of(config: Path, args: argparse.Namespace) -> dict[Path, tuple[Config, float]]:
    """Folders of a config's rows, with their configs and shares of the labels.

    Raises:
        ValueError: If two have the same name.
    """
    rows = {}
    for share in args.shares:
        for weights in args.weights:
            cfg = load_config(str(config), args.cfg_options)
            if weights == RANDOM:
                cfg.model.backbone.init_cfg = None
            else:
                resolve_checkpoint(weights)  # raises an error if there is none
                cfg.model.backbone.init_cfg.checkpoint = weights
            name = f'{Path(weights).stem}_{100 * share:g}'
            if (row := args.work_dir / config.stem / name) in rows:
                raise ValueError(f'two rows are called {name}: rename {weights}')
            rows[row] = cfg, share
    return rows


def draw_labels(config: Config, share: float, seed: int) -> list[int]:
    """Indices of training images: a share of them, or those of a share of people."""
    import_modules_from_strings(**config.custom_imports)
    scope = config.get('default_scope')
    with DefaultScope.overwrite_default_scope(scope):
        dataset = DATASETS.build(dict(config.train_dataloader.dataset, pipeline=[]))
    groups = {}
    for index in range(len(dataset)):
        groups.setdefault(dataset.get_data_info(index).get('pid', index), []).append(
            index
        )
    count = max(1, round(share * len(groups)))
    drawn = random.Random(seed).sample(list(groups), count)
    return sorted(index for group in drawn for index in groups[group])


def complete(run: Run, share: float) -> None:
    """Train, test and write the result."""
    config = None
    if share < 1:
        drawn = dict(indices=draw_labels(run.config, share, run.seed))
        # In a file, because a command line is too short for many.
        config = run.row / f'labels{run.seed}.py'
        changed = f'train_dataloader = dict(dataset={drawn})\n'
        write_text(config, f"_base_ = 'config.py'\n{changed}")
    train(run, config)
    tested = run.folder / 'test'
    run_tool('test', run, [run.row / 'config.py', run.folder, '--work-dir', tested])
    metrics = json.loads(max(tested.glob('*/*.json')).read_text())
    for name in ('time', 'data_time'):
        metrics.pop(name, None)
    save(run, facts(run), metrics)


def main() -> int:
    args = parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    tables = {config: rows_of(config, args) for config in args.configs}
    todo = [
        (Run(row, config, seed), share)
        for seed in args.seeds
        for rows in tables.values()
        for row, (config, share) in rows.items()
    ]
    status = 0
    for number, (run, share) in enumerate([] if args.table else todo, 1):
        run.prepare()
        if read_result(run.folder):
            continue
        print(f'[{number}/{len(todo)}] {run}, log: {run.log}', flush=True)
        try:
            complete(run, share)
        except RunFailed as error:
            print(f'    error: {error}', file=sys.stderr, flush=True)
            status = 1
    for config, rows in tables.items():
        print(f'{config.stem}\n\n{markdown(summarize(rows))}')
    return status


if __name__ == '__main__':
    with one_line_errors():
        sys.exit(main())
