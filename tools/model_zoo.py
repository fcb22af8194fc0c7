"""Update the model zoo; run in a clone of the repository.

python tools/model_zoo.py measure configs/downstream/reid/*.py
python tools/model_zoo.py result CONFIG work_dirs/NAME/TIME

`measure` counts parameters and multiply-adds of configs and times one CPU thread.
`result` records the results of a run by tools/test.py or tools/compare.py and the
SHA-256 of its weights. Both update metafile.yml next to the config and the table in
docs/model_zoo.md.
"""

import argparse
from pathlib import Path

from saip_mm.errors import one_line_errors
from saip_mm.training.config import load_config
from saip_mm.zoo import measure, read_models, read_run, update, write_page

ROOT = Path()


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest='command', required=True)
    measuring = commands.add_parser('measure', help='count and time models')
    measuring.add_argument('configs', nargs='+', type=Path)
    result = commands.add_parser('result', help='record the results of a run')
    result.add_argument('config', type=Path)
    result.add_argument('run', type=Path, help='output folder of the run')
    result.add_argument('--url', default='', help='download URL of the weights')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    models = {Path(model['Config']): model for model in read_models(ROOT)}
    configs = args.configs if args.command == 'measure' else [args.config]
    for config in configs:
        if config not in models:
            raise ValueError(f'{config.parent}/metafile.yml does not name {config}')
        cfg = load_config(str(config), {})
        metadata = models[config]['Metadata']
        if args.command == 'measure':
            changes = dict(Metadata=measure(cfg))
            print(config, changes['Metadata'], flush=True)
        else:
            changes = read_run(cfg, args.run, metadata['Training Data'], args.url)
        update(ROOT, config, changes)
    write_page(ROOT)


if __name__ == '__main__':
    with one_line_errors():
        main()
