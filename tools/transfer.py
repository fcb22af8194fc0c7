"""Fine-tune configs from several initial weights, with shares of the labels.

python tools/transfer.py configs/transfer/*_saip-small.py --weights random saip-small \\
    --shares 0.1 1 --seeds 0 1 2 --work-dir work_dirs/transfer

Trains every config from every initialization with tools/train.py, tests the last
checkpoint with tools/test.py, and prints a table per config. If a config counts
iterations, as those of configs/transfer/ do, all of its runs have the same number of
steps. Shares of the labels depend only on the seed, not on the initial weights; in
re-identification, they consist of whole people.

Rerun the command to resume: finished runs are skipped. `--table` prints the results so
far.
"""

import argparse
import signal
import sys
from pathlib import Path

from saip_mm.errors import one_line_errors, script_parser
from saip_mm.evaluation.fine_tuning import (
    FineTuning,
    add_shares_option,
    downstream_config,
    named_shares,
    started_from,
)
from saip_mm.evaluation.runs import work
from saip_mm.evaluation.subject import RANDOM
from saip_mm.evaluation.table import markdown, summarize
from saip_mm.training.config import add_options


def parse_args() -> argparse.Namespace:
    parser = script_parser(__doc__)
    parser.add_argument('configs', nargs='+', type=Path, help='downstream configs')
    parser.add_argument(
        '--weights',
        nargs='+',
        default=[RANDOM, 'saip-small'],
        metavar='BACKBONE',
        help=f'{RANDOM}, names of packaged weights, or files',
    )
    add_shares_option(parser)
    parser.add_argument('--seeds', nargs='+', type=int, default=[0])
    parser.add_argument('--work-dir', type=Path, default='work_dirs/transfer')
    parser.add_argument('--table', action='store_true', help='only print the table')
    add_options(parser)
    args = parser.parse_args()
    if min(args.seeds) < 0:
        parser.error('--seeds must not be negative')
    return args


def runs_of(config: Path, args: argparse.Namespace) -> list[FineTuning]:
    """Runs of a config: its rows, each with all seeds.

    Raises:
        ValueError: If two rows have the same name.
    """
    runs, original = {}, downstream_config(config, args.cfg_options)
    for weights in args.weights:
        started = started_from(weights, original)
        for name, share in named_shares(weights, args.shares).items():
            if name in runs:
                raise ValueError(f'two rows are called {name}: rename {weights}')
            row = args.work_dir / config.stem / name
            runs[name] = [FineTuning(row, started, seed, share) for seed in args.seeds]
    return [run for row in runs.values() for run in row]


def main() -> int:
    args = parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    tables = {config: runs_of(config, args) for config in args.configs}
    # Seed by seed, so that an interrupted command has all rows.
    todo = sorted(
        (run for runs in tables.values() for run in runs),
        key=lambda run: args.seeds.index(run.seed),
    )
    failed = not args.table and work([[run] for run in todo])
    for config, runs in tables.items():
        rows = dict.fromkeys(run.row for run in runs)
        print(f'{config.stem}\n\n{markdown(summarize(rows))}')
    return int(failed)


if __name__ == '__main__':
    with one_line_errors():
        sys.exit(main())
