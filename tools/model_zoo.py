"""Update sizes and latencies in the model zoo; run in a clone of the repository.

python tools/model_zoo.py configs/downstream/reid/*.py

Counts parameters and multiply-adds of configs and times them on one CPU thread. Then
updates metafile.yml next to each config and the table in docs/model_zoo.md, which shows
all metafile entries that have results. Without configs, only the table is updated.
"""

from pathlib import Path

from saip_mm.errors import one_line_errors, script_parser
from saip_mm.training.config import load_config
from saip_mm.zoo import measure, read_models, update, write_page

ROOT = Path()


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument('configs', nargs='*', type=Path)
    args = parser.parse_args()
    known = {Path(model['Config']) for model in read_models(ROOT)}
    for config in args.configs:
        if config not in known:
            raise ValueError(f'{config.parent}/metafile.yml does not name {config}')
        metadata = measure(load_config(str(config)))
        print(config, metadata, flush=True)
        update(ROOT, config, metadata)
    write_page(ROOT)


if __name__ == '__main__':
    with one_line_errors():
        main()
