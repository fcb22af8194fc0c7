"""The model zoo: measure configs, keep results, write tables and metafiles.

python tools/model_zoo.py measure
python tools/model_zoo.py measure configs/downstream/reid/*.py
python tools/model_zoo.py result CONFIG work_dirs/NAME/TIME
python tools/model_zoo.py write

To be run in a clone. `measure` counts parameters and multiply-adds of the configs (of
all if none is named), and times one CPU thread. `result` takes the figures of a run
that tools/test.py or tools/compare.py finished, and the SHA-256 of its weights. Both
write the JSON file beside the config; `write` makes metafiles, model-index.yml and the
tables in README.md and docs/model_zoo.md of all of them.
"""

import argparse
import sys
from pathlib import Path

from saip_mm.training.config import load_config
from saip_mm.zoo.catalogue import Entry, read_catalogue, write_results
from saip_mm.zoo.measure import measure
from saip_mm.zoo.pages import write_pages
from saip_mm.zoo.runs import read_run

ROOT = Path()


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest='command', required=True)
    measuring = commands.add_parser('measure', help='count and time models')
    measuring.add_argument('configs', nargs='*', type=Path, help='default: all')
    result = commands.add_parser('result', help='keep the figures of a run')
    result.add_argument('config', type=Path)
    result.add_argument('run', type=Path, help='folder of the test')
    result.add_argument(
        '--url', default='', help='where its weights can be downloaded from'
    )
    commands.add_parser('write', help='write metafiles and tables')
    return parser.parse_args()


def entry_of(config: Path) -> Entry:
    """The entry of a config.

    Raises:
        ValueError: If the zoo has none.
    """
    for entry in read_catalogue(ROOT):
        if entry.config == config:
            return entry
    raise ValueError(f'{config}: configs/model_zoo.yml does not name it')


def measure_all(configs: list[Path]) -> None:
    configs = configs or [entry.config for entry in read_catalogue(ROOT)]
    for config in configs:
        entry_of(config)
        found = measure(load_config(str(config), {}))
        write_results(config, measured=found)
        print(
            f'{config.stem}: {found.part}, {found.parameters:,} parameters, '
            f'{found.multiply_adds:,} multiply-adds, {found.fastest_ms} ms',
            flush=True,
        )


def keep(args: argparse.Namespace) -> None:
    entry = entry_of(args.config)
    trained = read_run(load_config(str(args.config), {}), args.run, args.url)
    for metric in entry.metrics.values():
        if metric['name'] not in trained.metrics:
            raise ValueError(f'{args.run}: its log has no finite {metric["name"]}')
    write_results(args.config, trained=trained)


def main() -> int:
    args = parse_args()
    try:
        if args.command == 'measure':
            measure_all(args.configs)
        elif args.command == 'result':
            keep(args)
        else:
            write_pages(ROOT)
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
