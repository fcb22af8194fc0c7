"""Compare configs: pretrain each with several seeds, probe, and print one table.

python tools/compare.py pixels random configs/pretrain/a.py configs/pretrain/b.py \\
    --seeds 0 1 2 --work-dir work_dirs/compare

Rows are configs, `random` (the model of the first config, or of --random-of, without
training), or the baselines `mean-color`, `histogram`, `stripes` and `pixels`. All rows
are probed on drawn people, and on photographs if you provide some.

`--epochs N` changes the number of epochs of the configs, and their schedules in
proportion. `--equal flops` changes them so that all runs cost as much as the first, to
the nearest epoch; `--equal images`, so that all runs see as many images as the first.

`--fine-tune` also trains the given downstream configs from the backbone of each run,
with `--shares` of the labels, and tests them.

Each run has a folder WORK_DIR/ROW/seedN. Rerun the command to resume: finished runs are
skipped. Several commands can run in one folder at the same time: each skips the runs
that another is working on. `--table` prints the results so far, even during runs.
`--max-minutes` stops the command; rerun it to continue.
"""

import argparse
import json
import math
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from mmengine.config import Config

from saip_mm.errors import one_line_errors, script_parser
from saip_mm.evaluation import add_people_options, people_of
from saip_mm.evaluation.compute import cost_of, with_epochs
from saip_mm.evaluation.features import BASELINES
from saip_mm.evaluation.fine_tuning import (
    FineTuning,
    add_shares_option,
    downstream_config,
    named_shares,
    started_from,
)
from saip_mm.evaluation.runs import PROBED, OutOfTime, Run, work
from saip_mm.evaluation.subject import RANDOM
from saip_mm.evaluation.table import (
    UNTRAINED,
    composite_table,
    markdown,
    summarize,
    write_radar,
)
from saip_mm.files import check_writable, write_text
from saip_mm.processes import count
from saip_mm.training.config import add_options, load_config
from saip_mm.training.saving import INTERRUPTED


def parse_args() -> argparse.Namespace:
    parser = script_parser(__doc__)
    parser.add_argument('rows', nargs='*', help=f'config files, {", ".join(UNTRAINED)}')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0])
    parser.add_argument('--work-dir', type=Path, default='work_dirs/compare')
    parser.add_argument(
        '--random-of',
        metavar='CONFIG',
        help='config of the model for untrained rows (default: the first config)',
    )
    parser.add_argument(
        '--epochs',
        type=count,
        metavar='N',
        help='train for N epochs instead of the number in the configs',
    )
    parser.add_argument(
        '--equal',
        choices=['images', 'flops'],
        help='budget that every run shares with the first config',
    )
    parser.add_argument(
        '--max-minutes',
        type=float,
        default=math.inf,
        metavar='M',
        help='stop training after M minutes in all; rerun to continue',
    )
    parser.add_argument(
        '--radar', type=Path, metavar='PNG', help='draw a radar chart of the probes'
    )
    add_people_options(parser)
    add_options(parser)
    add_fine_tuning_options(parser)
    parser.add_argument(
        '--table', action='store_true', help='print the table so far without running'
    )
    args = parser.parse_args()
    if not args.rows and not args.table:
        parser.error('name at least one row')
    if min(args.seeds) < 0:
        parser.error('--seeds must not be negative')
    if args.max_minutes <= 0:
        parser.error('--max-minutes must be positive')
    return args


def add_fine_tuning_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--fine-tune',
        nargs='+',
        type=Path,
        default=[],
        metavar='CONFIG',
        help='downstream configs to fine-tune from each run',
    )
    add_shares_option(parser)


def configs_of(args: argparse.Namespace) -> dict[str, Config]:
    """Configs of the rows named on the command line.

    Raises:
        ValueError: If two have the same name, or `random` has no config.
    """
    trained = [row for row in args.rows if row not in UNTRAINED]
    model = args.random_of or next(iter(trained), None)
    people = people_of(args)
    configs = {}
    for source in args.rows:
        name = Path(source).stem
        if name in configs or (source in trained and name in UNTRAINED):
            raise ValueError(f'two rows are called {name}: rename one of the configs')
        file = source if source in trained else model
        if file is None:
            raise ValueError(f'{source}: name its config with --random-of')
        config = load_config(file, args.cfg_options)
        if args.epochs and source in trained:
            config = with_epochs(config, args.epochs)
        if people:
            config[PROBED] = asdict(people)
        configs[name] = config
    return configs


def equalize(configs: dict[str, Config], unit: str) -> None:
    """Change all trainings to as many images or FLOPs as the first, in whole epochs."""
    budget = None
    for name, config in configs.items():
        if name in UNTRAINED:
            continue
        cost, epochs = cost_of(config), config.train_cfg.max_epochs
        per_epoch = cost.images * (cost.flops if unit == 'flops' else 1)
        budget = budget or epochs * per_epoch
        if 2 * budget < per_epoch:
            raise ValueError(
                f'{name}: an epoch costs {per_epoch / budget:.1f} times as much as the '
                'whole first training: give more --epochs'
            )
        epochs = max(1, round(budget / per_epoch))
        configs[name] = with_epochs(config, epochs)
        images = epochs * cost.images
        print(
            f'{name}: {epochs} epochs, {images:,} images, {images * cost.flops:.2e} '
            f'FLOPs ({cost.flops:.2e} per image)',
            flush=True,
        )


def downstream_of(args: argparse.Namespace) -> dict[str, tuple[Config, float]]:
    """Downstream configs and shares of the labels, by name."""
    configs = {}
    for file in args.fine_tune:
        config = downstream_config(file)
        for name, share in named_shares(file, args.shares).items():
            if name in configs:
                raise ValueError(f'two configs are called {name}: rename {file}')
            configs[name] = config, share
    return configs


def chain(run: Run, downstream: dict[str, tuple[Config, float]]) -> Iterator[Run]:
    """A run, then its fine-tunings; baselines have no weights."""
    yield run
    if run.row.name not in BASELINES:
        weights = run.folder if run.is_trained else RANDOM
        for name, (config, share) in downstream.items():
            started = started_from(weights, config)
            yield FineTuning(run.folder / name, started, run.seed, share)


def results(args: argparse.Namespace) -> list[dict]:
    """Results so far, first of the rows named on the command line."""
    named = [args.work_dir / Path(row).stem for row in args.rows]
    others = {file.parent for file in args.work_dir.glob('*/config.py')} - {*named}
    return summarize([*named, *sorted(others)])


def table(summary: list[dict]) -> str:
    return '\n'.join([markdown(summary), composite_table(summary)])


def report(args: argparse.Namespace) -> None:
    """Print the table, and write it unless nothing is run; draw the radar chart."""
    summary, written = results(args), None
    if not summary:
        raise FileNotFoundError(f'{args.work_dir}: has no runs; correct --work-dir')
    print(table(summary))
    # Until they stay the same: another command may have finished a run meanwhile.
    while not args.table and written != (text := json.dumps(summary, indent=2)):
        write_text(args.work_dir / 'results.json', text)
        write_text(args.work_dir / 'table.md', table(summary))
        summary, written = results(args), text
    if args.radar:
        write_radar(args.radar, summary)


def main() -> int:
    args = parse_args()
    if args.table:
        report(args)
        return 0
    if args.radar:
        check_writable(args.radar)
    deadline = time.monotonic() + 60 * args.max_minutes
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    configs, downstream = configs_of(args), downstream_of(args)
    if args.equal:
        equalize(configs, args.equal)
    # Seed by seed, so that an interrupted comparison has all rows. Baselines are
    # deterministic, and skipped when they have a result.
    runs = [
        Run(args.work_dir / name, config, 0 if name in BASELINES else seed)
        for seed in args.seeds
        for name, config in configs.items()
    ]
    for run in runs:
        run.prepare()
    try:
        status = int(work([chain(run, downstream) for run in runs], deadline))
    except OutOfTime as error:
        print(f'{args.max_minutes:g} minutes are over ({error}); rerun to continue')
        status = INTERRUPTED
    report(args)
    return status


if __name__ == '__main__':
    with one_line_errors():
        sys.exit(main())
