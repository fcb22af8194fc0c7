"""Swap the backbone in randomly drawn stock configs and count the outcomes.

python tools/benchmark_swap.py --out work_dirs/swap.json --table docs/swap_backbone.md

Draws from the text configs of each library, outside of `_base_`, that define a model.
Each config runs in its own process, with limited time and memory. Results are written
after each config: rerun the command to resume. Text above an existing table is kept.
"""

import argparse
import importlib
import json
import multiprocessing
import random
import re
import resource
import tempfile
import traceback
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger

from saip_mm.downstream.swap import Refusal, swap_backbone
from saip_mm.downstream.swap.stock import LIBRARIES, config_folder
from saip_mm.errors import script_parser
from saip_mm.files import read_json, write_text
from saip_mm.models import SAIPViT

OUTCOMES = ('adapted', 'projected', 'built', 'refused', 'crashed')
SECONDS, BYTES = 600, 10 << 30  # limits per config
HEADER = f'| library | drawn | {" | ".join(OUTCOMES)} |'


def parse_args() -> argparse.Namespace:
    parser = script_parser(__doc__)
    parser.add_argument('--out', type=Path, required=True, help='JSON file for results')
    parser.add_argument('--table', type=Path, help='Markdown file for the table')
    parser.add_argument(
        '--libraries', nargs='+', choices=list(LIBRARIES), default=list(LIBRARIES)
    )
    parser.add_argument('--number', type=int, default=50, help='configs per library')
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def draw(library: str, number: int, seed: int) -> list[str]:
    """Names of configs that have a model, or cannot be read, in random order."""
    folder = config_folder(library)
    paths = [path.relative_to(folder) for path in folder.rglob('*.py')]
    paths = sorted(path for path in paths if '_base_' not in path.parts)
    random.Random(f'{seed} {library}').shuffle(paths)
    drawn = []
    for path in paths:
        try:
            has_model = 'model' in Config.fromfile(folder / path)
        except Exception:  # for the swap to report
            has_model = True
        if has_model:
            drawn.append(f'{library}::{path}')
        if len(drawn) == number:
            break
    return drawn


def swap(name: str, checkpoint: Path, pipe: Connection) -> None:
    """Swap in a subprocess, and send [outcome, reason]."""
    resource.setrlimit(resource.RLIMIT_DATA, (BYTES, BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        try:
            swapped = swap_backbone(name, str(checkpoint), Path(folder, 'new.py'))
            result = ['adapted' if swapped.adapted else 'projected', '']
            if swapped.loss is None:
                result = ['built', 'the model has an operator that needs a GPU']
        except Refusal as error:
            result = ['refused', str(error)]
        except Exception:
            result = ['crashed', traceback.format_exc()[-1500:]]
    pipe.send(result)


def run(name: str, checkpoint: Path) -> dict[str, str]:
    """Outcome and reason for one config."""
    context = multiprocessing.get_context('fork')  # the libraries are imported once
    receive, send = context.Pipe(False)
    process = context.Process(target=swap, args=(name, checkpoint, send))
    process.start()
    send.close()
    try:
        outcome, reason = receive.recv()
    except EOFError:
        process.join()
        outcome, reason = 'crashed', f'ended with {process.exitcode}'
    process.join()
    # Omit folders of this machine.
    reason = re.sub(r'(/[\w.@+-]+)+/', '…/', reason.strip())
    return dict(outcome=outcome, reason=reason)


def table(results: dict, args: argparse.Namespace) -> str:
    """A summary per library, and the configs that were not trained, as Markdown."""
    counts = Counter((name.split('::')[0], r['outcome']) for name, r in results.items())
    lines = [HEADER, '| --- | ---: |' + ' ---: |' * len(OUTCOMES)]
    for library in args.libraries:
        numbers = [counts[library, outcome] for outcome in OUTCOMES]
        version = importlib.import_module(library).__version__
        cells = [f'{LIBRARIES[library]} {version}', sum(numbers), *numbers]
        lines.append(f'| {" | ".join(map(str, cells))} |')
    lines += ['', '| not trained | outcome | reason |', '| --- | --- | --- |']
    for name, result in sorted(results.items()):
        if result['outcome'] not in ('adapted', 'projected'):
            reason = result['reason'].splitlines()[-1].replace('|', r'\|')
            lines.append(f'| {name} | {result["outcome"]} | {reason} |')
    return '\n'.join(lines) + '\n'


def main() -> None:
    args = parse_args()
    MMLogger.get_current_instance().setLevel('ERROR')
    results = read_json(args.out) if args.out.exists() else {}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    vit = SAIPViT()
    vit.init_weights()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder, 'backbone.pth')
        torch.save(vit.state_dict(), checkpoint)
        for library in args.libraries:
            importlib.import_module(f'{library}.utils').register_all_modules(False)
            for name in draw(library, args.number, args.seed):
                if name not in results:
                    results[name] = run(name, checkpoint)
                    write_text(args.out, json.dumps(results, indent=1))
                    print(f'{name}: {" | ".join(results[name].values())}', flush=True)
    if args.table:
        above = args.table.read_text() if args.table.exists() else ''
        args.table.write_text(above.partition(HEADER)[0] + table(results, args))


if __name__ == '__main__':
    main()
