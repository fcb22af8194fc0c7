"""Compare configs: pretrain each with several seeds, probe, and print one table.

python tools/compare.py pixels random configs/pretrain/a.py configs/pretrain/b.py \\
    --seeds 0 1 2 --work-dir work_dirs/compare

Rows are configs, `random` (the model of the first config, or of --random-of, without
training), or the baselines `mean-color`, `histogram`, `stripes` and `pixels`. All are
probed on drawn people, and on the photographs that are given.

`--equal flops` changes the number of epochs of the configs, and their schedules in
proportion, so that all trainings cost as much as the first, to the nearest epoch;
`--equal images`, so that they see as many images.

Each run has a folder WORK_DIR/ROW/seedN. Rerun the command to resume: finished runs are
skipped, and several processes may share a work directory. `--table` prints the results
so far, even during runs. `--max-minutes` stops the command, to be rerun.
"""

import argparse
import json
import math
import os
import signal
import statistics
import sys
import time
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

from saip_mm.errors import one_line_errors
from saip_mm.evaluation import add_people_options, people_of
from saip_mm.evaluation.composite import composite_table
from saip_mm.evaluation.compute import cost_of, epochs_for, lengthened
from saip_mm.evaluation.radar import write_radar
from saip_mm.evaluation.rows import (
    BASELINES,
    PROBED,
    RANDOM,
    Locked,
    Row,
    Run,
    find_rows,
    untrained,
)
from saip_mm.evaluation.running import OutOfTime, RunFailed, complete
from saip_mm.evaluation.table import markdown, summarize
from saip_mm.files import write_text
from saip_mm.training.config import add_options, load_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'rows', nargs='*', help=f'config files, {RANDOM}, {", ".join(BASELINES)}'
    )
    parser.add_argument('--seeds', nargs='+', type=int, default=[0])
    parser.add_argument('--work-dir', type=Path, default='work_dirs/compare')
    parser.add_argument(
        '--random-of',
        metavar='CONFIG',
        help='config of the model for untrained rows (default: first config)',
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
    parser.add_argument(
        '--table', action='store_true', help='print the table so far, run nothing'
    )
    args = parser.parse_args()
    if not args.rows and not args.table:
        parser.error('name at least one row')
    if min(args.seeds) < 0:
        parser.error('--seeds must not be negative')
    if args.max_minutes <= 0:
        parser.error('--max-minutes must be positive')
    return args


def rows_of(args: argparse.Namespace) -> list[Row]:
    """The rows named on the command line.

    Raises:
        ValueError: If two have the same name, or `random` has no config.
    """
    words = (RANDOM, *BASELINES)
    model = args.random_of or next((row for row in args.rows if row not in words), None)
    people = people_of(args)
    rows = []
    for source in args.rows:
        name = Path(source).stem
        if source in words:
            if model is None:
                raise ValueError(f'{source}: name its config with --random-of')
            config = load_config(model, args.cfg_options)
        elif name in words:
            raise ValueError(f'{source}: rename it, {name} is another row')
        else:
            config = load_config(source, args.cfg_options)
        if any(row.name == name for row in rows):
            raise ValueError(f'two rows are called {name}: rename one of the configs')
        if people:
            config[PROBED] = asdict(people)
        rows.append(
            Row(args.work_dir / name, untrained(config) if source in words else config)
        )
    return rows


def equalized(rows: list[Row], unit: str) -> list[Row]:
    """The rows, with trainings of as many images or FLOPs as the first."""
    trained = [row for row in rows if row.is_trained]
    costs = {row: cost_of(row.config) for row in trained}
    budget = None
    found = []
    for row in rows:
        if row in costs:
            cost, epochs = costs[row], row.config.train_cfg.max_epochs
            if budget is None:
                budget = epochs * cost.images * (cost.flops if unit == 'flops' else 1)
            epochs = epochs_for(budget, cost, unit)
            images = epochs * cost.images
            print(
                f'{row.name}: {epochs} epochs, {images:,} images, '
                f'{images * cost.flops:.2e} FLOPs ({cost.flops:.2e} per image)',
                flush=True,
            )
            row = replace(row, config=lengthened(row.config, epochs))
        found.append(row)
    return found


def work(runs: list[Run], deadline: float) -> list[str]:
    """Complete the runs that have no result yet; returns the errors.

    Raises:
        OutOfTime: If the deadline passes.
    """
    failures = []
    trainer = Path(__file__).resolve().with_name('train.py')
    for number, run in enumerate(runs, 1):
        if run.result():
            continue
        if time.monotonic() > deadline:
            raise OutOfTime(f'{run}: not started')
        print(f'[{number}/{len(runs)}] {run}{time_left(runs)}', flush=True)
        try:
            with run.locked() as lock:
                if run.result() is None:
                    complete(run, trainer, lock, deadline)
        except Locked as error:
            print(f'    {error}; skipped', flush=True)
        except RunFailed as error:
            print(f'    error: {error}', file=sys.stderr, flush=True)
            failures.append(str(error))
    return failures


def time_left(runs: list[Run]) -> str:
    """Estimated time for the remaining runs, from the finished ones."""
    finished = [run for run in runs if run.row.is_trained and run.result()]
    if not finished:
        return ''
    left = 0.0
    for run in runs:
        if run.row.is_trained and not run.result():
            alike = [done for done in finished if done.row == run.row] or finished
            expected = statistics.fmean(done.training()['seconds'] for done in alike)
            left += max(0.0, expected - run.training()['seconds'])
    return f' (about {timedelta(seconds=round(left))} left for all runs)'


def report(args: argparse.Namespace, rows: list[Row]) -> None:
    """Print the table, and write it unless nothing is run; draw the radar chart."""
    names = {row.name for row in rows}
    others = [row for row in find_rows(args.work_dir) if row.name not in names]
    summary = summarize(rows, args.seeds) + summarize(others, [])
    text = '\n'.join([markdown(summary), composite_table(summary)])
    print(text)
    if not args.table:
        write_text(args.work_dir / 'results.json', json.dumps(summary, indent=2))
        write_text(args.work_dir / 'table.md', text)
    if args.radar:
        write_radar(args.radar, summary)


def main() -> int:
    args = parse_args()
    deadline = time.monotonic() + 60 * args.max_minutes
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    rows, failures, status = rows_of(args), [], 0
    if args.equal:
        rows = equalized(rows, args.equal)
    if not args.table:
        for row in rows:
            row.freeze()
        # Seed by seed, so that an interrupted comparison has all rows.
        runs = [run for seed in args.seeds for row in rows for run in row.runs([seed])]
        try:
            failures = work(list(dict.fromkeys(runs)), deadline)
        except OutOfTime as error:
            print(f'{args.max_minutes:g} minutes are over ({error}); rerun to continue')
            status = os.EX_TEMPFAIL
    report(args, rows)
    for failure in failures:
        print(f'failed: {failure}', file=sys.stderr)
    return 1 if failures else status


if __name__ == '__main__':
    with one_line_errors():
        sys.exit(main())
