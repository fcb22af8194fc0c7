"""Swap the backbone in configs drawn at random, and count what came of it.

python tools/benchmark_swap.py --out work_dirs/swap.json --table docs/swap_backbone.md

Drawn are text configs that a library ships outside of `_base_`, without those that have
no model. Each has a process of its own, with limits of time and memory; results are
written after each, and the same command goes on where it was interrupted.
"""

import argparse
import importlib
import json
import multiprocessing
import random
import re
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from importlib.util import find_spec
from multiprocessing.connection import Connection, wait
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger

from saip_mm.downstream.swap import Refusal, swap_backbone
from saip_mm.downstream.swap.stock import LIBRARIES
from saip_mm.models import SAIPViT
from saip_mm.training.config import find_mmseg

OUTCOMES = {
    'trained': 'built, one step trained',
    'built': 'built, step not tried',
    'refused': 'refused, with the reason',
    'crashed': 'crashed',
}

HOW = """# The backbone swapped in stock configs

`python tools/benchmark_swap.py --out work_dirs/swap.json --table docs/swap_backbone.md`
draws {number} configs per library with seed {seed}, from all text configs that it ships
outside of `_base_` and that have a model, and runs `tools/swap_backbone.py` on each, in
a process of its own with limits of time and memory (PyTorch {torch}, CPU).

- *trained*: written; its model built, took all tensors of the backbone, and trained one
  step on two random images with random truths; the loss was finite and every tensor of
  the backbone got a gradient. *adapted*: neck or heads were told the new channels;
  *projected*: 1×1 convolutions make those that they had.
- *built*: written; inputs for its task could not be made up, or it needs a GPU.
- *refused*: nothing written, one line says why. If a training step failed, it says
  whether that of the config's own backbone, untrained, fails as well.
- *crashed*: anything else.
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', type=Path, required=True, help='results, .json')
    parser.add_argument('--table', type=Path, help='the same as Markdown')
    parser.add_argument(
        '--libraries', nargs='+', choices=list(LIBRARIES), default=list(LIBRARIES)
    )
    parser.add_argument('--number', type=int, default=50, help='configs per library')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--jobs', type=int, default=1, help='configs at a time')
    parser.add_argument('--seconds', type=int, default=600, help='limit per config')
    parser.add_argument('--gigabytes', type=int, default=10, help='limit per config')
    return parser.parse_args()


def draw(library: str, number: int, seed: int) -> list[str]:
    """Names of configs that have a model, or cannot be read, in random order."""
    find_mmseg()
    folder = Path(find_spec(library).submodule_search_locations[0], '.mim/configs')
    paths = [path.relative_to(folder) for path in folder.rglob('*.py')]
    paths = sorted(path for path in paths if '_base_' not in path.parts)
    random.Random(f'{seed} {library}').shuffle(paths)
    drawn = []
    for path in paths:
        try:
            has_model = 'model' in Config.fromfile(folder / path)
        except Exception:  # the swap has to say so
            has_model = True
        if has_model:
            drawn.append(f'{library}::{path}')
        if len(drawn) == number:
            break
    return drawn


def swap(name: str, checkpoint: Path, limits: tuple[int, int], pipe: Connection):
    """In a process of its own: swap, and send [outcome, reason]."""
    seconds, gigabytes = limits
    resource.setrlimit(resource.RLIMIT_DATA, (gigabytes << 30, gigabytes << 30))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        try:
            swapped = swap_backbone(name, str(checkpoint), Path(folder, 'new.py'))
            route = 'adapted' if swapped.adapted else 'projected'
            tried = swapped.trial.loss is not None
            result = ['trained', route] if tried else ['built', swapped.trial.not_tried]
        except Refusal as error:
            result = ['refused', str(error)]
        except Exception:
            result = ['crashed', traceback.format_exc()[-1500:]]
    pipe.send(result)


def run_all(names: list[str], results: dict, args: argparse.Namespace) -> None:
    """Fill in ``results`` by name, and write them after each."""
    context = multiprocessing.get_context('fork')  # the libraries are imported once
    waiting = [name for name in names if name not in results][::-1]
    total, start, running = len(waiting), time.monotonic(), {}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder, 'backbone.pth')
        vit = SAIPViT()
        vit.init_weights()
        torch.save(vit.state_dict(), checkpoint)
        while waiting or running:
            while waiting and len(running) < args.jobs:
                name, (receive, send) = waiting.pop(), context.Pipe(False)
                limits = args.seconds, args.gigabytes
                process = context.Process(
                    target=swap, args=(name, checkpoint, limits, send)
                )
                process.start()
                send.close()
                running[receive] = name, process, time.monotonic()
            for pipe in wait(list(running)):
                name, process, began = running.pop(pipe)
                try:
                    outcome, reason = pipe.recv()
                except EOFError:
                    process.join()
                    outcome, reason = 'crashed', f'ended with {process.exitcode}'
                process.join()
                seconds = round(time.monotonic() - began)
                reason = reason.replace(folder, '')
                results[name] = dict(outcome=outcome, reason=reason, seconds=seconds)
                args.out.write_text(json.dumps(results, indent=1))
                done = total - len(waiting) - len(running)
                left = (time.monotonic() - start) / done * (total - done) / 60
                first = reason.strip().splitlines()[-1]
                print(
                    f'[{done}/{total}, {left:.0f} min left] {outcome}: {name}: {first}'
                )
                sys.stdout.flush()


def table(results: dict, args: argparse.Namespace) -> str:
    """A summary per library and a line per config, as Markdown."""
    counts = Counter((name.split('::')[0], r['outcome']) for name, r in results.items())
    lines = ['| library | of drawn | ' + ' | '.join(OUTCOMES.values()) + ' |']
    lines += ['| --- | ---: |' + ' ---: |' * len(OUTCOMES)]
    for library in args.libraries:
        numbers = ' | '.join(str(counts[library, outcome]) for outcome in OUTCOMES)
        version = importlib.import_module(library).__version__
        tried = sum(name.startswith(f'{library}::') for name in results)
        lines.append(
            f'| {LIBRARIES[library]} {version} | {tried} of {args.number} | {numbers} |'
        )
    for library in args.libraries:
        lines += ['', f'## {LIBRARIES[library]}', '']
        lines += ['| config | outcome | route, or reason |', '| --- | --- | --- |']
        for name, result in sorted(results.items()):
            of, _, path = name.partition('::')
            if of == library:
                text = result['reason'].strip().splitlines()[-1].replace('|', r'\|')
                text = re.sub(r'(/[\w.@+-]+)+/', '…/', text)  # folders of this machine
                lines.append(f'| {path} | {result["outcome"]} | {text} |')
    return '\n'.join(lines) + '\n'


def main() -> None:
    args = parse_args()
    MMLogger.get_current_instance().setLevel('ERROR')
    results = json.loads(args.out.read_text()) if args.out.exists() else {}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    for library in args.libraries:
        importlib.import_module(f'{library}.utils').register_all_modules(False)
        run_all(draw(library, args.number, args.seed), results, args)
    if args.table:
        how = HOW.format(number=args.number, seed=args.seed, torch=torch.__version__)
        args.table.write_text(f'{how}\n{table(results, args)}')


if __name__ == '__main__':
    main()
