"""Kills a training at random instants, again and again, and looks what is left of it.

    python tests/fault_injection.py --kills 200 --seed 0

A tiny SAIP is trained once undisturbed, and once with SIGKILLs, some at any instant and
some while a checkpoint is being written; after every kill it is started again. At the
end nothing may differ: weights, teacher, center, optimizer, schedules, losses, and the
images of every step, bit for bit. Exit status 1 if something does.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

import torch
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

from saip_mm.checkpoints.files import saved_checkpoints
from saip_mm.training import choose_runner
from saip_mm.training.config import load_config
from saip_mm.training.resuming import newest_valid

TINY = Path(__file__).parent / 'configs' / 'tiny.py'
KEPT = 2  # checkpoints


@HOOKS.register_module(force=True)
class NoteImages(Hook):
    """Writes down the images of every step, as their sum of pixels, and its losses."""

    priority = 'LOW'  # before the step is saved

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        views = data_batch['inputs']
        sums = [float(views[name].double().sum()) for name in sorted(views)]
        losses = {name: float(value) for name, value in outputs.items()}
        line = dict(step=runner.iter + 1, images=sums, losses=losses)
        with open(Path(runner.work_dir, 'steps.jsonl'), 'a') as file:
            file.write(json.dumps(line) + '\n')


def train(work_dir: Path, epochs: int) -> None:
    """Start a training, or go on with it, as tools/train.py does."""
    cfg = load_config(
        str(TINY),
        {
            'train_cfg.max_epochs': epochs,
            'custom_hooks': [dict(type='NoteImages')],
            # Every step is saved: most of the time is spent with it.
            'default_hooks.checkpoint.minutes': 1e-9,
            'default_hooks.checkpoint.max_keep_ckpts': KEPT,
            'log_level': 'ERROR',
        },
    )
    cfg.work_dir = str(work_dir)
    runner = choose_runner(cfg).from_cfg(cfg)
    runner.resume_from('auto')
    runner.train()


def start(work_dir: Path, epochs: int) -> int:
    """Process number of a training, which shares what is imported already."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        with open(work_dir.with_suffix('.log'), 'a') as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        train(work_dir, epochs)
        status = 0
    finally:
        os._exit(status)


def partial_files(work_dir: Path) -> list[Path]:
    """What a save is writing just now."""
    return [*work_dir.glob('.epoch_*.partial'), *work_dir.glob('.last_*.partial')]


def wait(child: int, until: float, stop) -> int | None:
    """Exit status of a process; None if it still runs at a time, or at a sign."""
    while time.monotonic() < until and not stop():
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.0005)
    return None


def disturb(work_dir: Path, epochs: int, kills: int, rng: random.Random) -> Counter:
    """Train with up to so many kills; returns in which moments they came."""
    moments = Counter()
    while True:
        child = start(work_dir, epochs)
        before = saved_checkpoints(work_dir)
        known = before[:1]
        if sum(moments.values()) == kills:
            status = wait(child, float('inf'), lambda: False)
        elif rng.random() < 0.5:  # in a save, some time after its beginning
            sign = partial(in_save, work_dir, known, rng.randrange(3))
            status = wait(child, float('inf'), sign)
            time.sleep(rng.random() * 0.004)
        else:
            status = wait(child, time.monotonic() + rng.uniform(0, 2), lambda: False)
        if status is not None:
            if status:
                sys.exit(f'a training ended by itself: see {work_dir}.log')
            return moments
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        moments[moment(work_dir, before)] += 1


def in_save(work_dir: Path, known: list[Path], least: int) -> bool:
    """Whether a file is being written, after so many new ones."""
    saved = saved_checkpoints(work_dir)
    new = saved.index(known[0]) if known and known[0] in saved else len(saved)
    return new >= least and bool(partial_files(work_dir))


def moment(work_dir: Path, before: list[Path]) -> str:
    """What a training was doing when it was killed, by what it left behind.

    Args:
        work_dir: Of the training.
        before: The checkpoints that were there when it was started.
    """
    left = partial_files(work_dir)
    for path in left:
        path.unlink()
    if left:
        what = 'last_checkpoint' if 'last_checkpoint' in left[0].name else 'a state'
        return f'while writing {what}'
    saved = saved_checkpoints(work_dir)
    if saved == before:
        return 'before it saved'
    if len(saved) > KEPT:
        return 'between writing a state and removing an old one'
    return 'between saves'


def differences(ours: object, other: object, name: str = '') -> list[str]:
    """Names of what differs between two states, in any bit."""
    if isinstance(ours, dict) and isinstance(other, dict):
        keys = sorted(ours.keys() | other.keys(), key=str)
        return [
            found
            for key in keys
            for found in differences(ours.get(key), other.get(key), f'{name}.{key}')
        ]
    if isinstance(ours, list) and isinstance(other, list) and len(ours) == len(other):
        return [
            found
            for i, pair in enumerate(zip(ours, other, strict=True))
            for found in differences(*pair, f'{name}.{i}')
        ]
    if isinstance(ours, torch.Tensor) and isinstance(other, torch.Tensor):
        return [] if torch.equal(ours, other) else [name]
    return [] if ours == other else [name]


def compare(disturbed: Path, undisturbed: Path) -> list[str]:
    """What differs between the ends of two trainings."""
    found = []
    states = [
        torch.load(newest_valid(folder), weights_only=True)
        for folder in (disturbed, undisturbed)
    ]
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        found += differences(states[0][part], states[1][part], part)
    steps = [read_steps(folder) for folder in (disturbed, undisturbed)]
    (expected,) = [{step: lines[0] for step, lines in steps[1].items()}]
    for step in sorted(steps[0].keys() | expected.keys()):
        if step not in steps[0]:
            found.append(f'step {step} was left out')
        for line in steps[0].get(step, ()):
            found += differences(line, expected.get(step), f'step {step}')
    return found


def read_steps(folder: Path) -> dict[int, list[dict]]:
    """Every time that a step was made; a line that a kill cut off does not count."""
    steps = {}
    for line in (folder / 'steps.jsonl').read_text().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        steps.setdefault(entry['step'], []).append(entry)
    return steps


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--kills', type=int, default=200)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--epochs', type=int, default=8)
    args = parser.parse_args()
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp(prefix='faults'))
    undisturbed = folder / 'undisturbed'
    undisturbed.mkdir()
    os.waitpid(start(undisturbed, args.epochs), 0)
    rng = random.Random(args.seed)
    moments, made, trainings, found = Counter(), 0, 0, []
    while (left := args.kills - sum(moments.values())) > 0:
        trainings += 1
        disturbed = folder / f'disturbed{trainings}'
        disturbed.mkdir()
        moments += disturb(disturbed, args.epochs, left, rng)
        made += sum(map(len, read_steps(disturbed).values()))
        found += compare(disturbed, undisturbed)
        print(f'{sum(moments.values())} of {args.kills} kills', flush=True)
    for name, count in moments.most_common():
        print(f'{count:5} kills {name} ({count / args.kills:.0%})')
    print(f'{trainings} trainings of {3 * args.epochs} steps made {made} steps')
    print(f'{len(found)} differences from the undisturbed training: {found[:10]}')
    shutil.rmtree(folder)
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
