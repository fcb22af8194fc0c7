"""Kill a training at random moments, and compare its result with an undisturbed one.

    python tests/fault_injection.py --kills 200 --seed 0

A tiny SAIP is trained once without interruption, and again with SIGKILLs, half of them
while a checkpoint is being written, each followed by a restart. Weights, teacher,
center, optimizer, schedules, losses, and the images of every step must be equal bit for
bit; otherwise the exit status is 1.
"""

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path

import torch
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS
from short_runs import same

from saip_mm.checkpoints.files import saved_checkpoints
from saip_mm.errors import script_parser
from saip_mm.training import SafeRunner
from saip_mm.training.config import load_config
from saip_mm.training.resuming import newest_valid

TINY = Path(__file__).parent / 'configs' / 'tiny.py'
KEPT = 2  # checkpoints


@HOOKS.register_module(force=True)
class NoteImages(Hook):
    """Records the sums of the pixels of every step, and its losses."""

    priority = 'LOW'  # before the step is saved

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        views = data_batch['inputs']
        sums = [float(views[name].double().sum()) for name in sorted(views)]
        losses = {name: float(value) for name, value in outputs.items()}
        line = dict(step=runner.iter + 1, images=sums, losses=losses)
        with open(Path(runner.work_dir, 'steps.jsonl'), 'a') as file:
            file.write(json.dumps(line) + '\n')


def train(work_dir: Path, epochs: int) -> None:
    """Start or resume a training as tools/train.py does."""
    cfg = load_config(
        str(TINY),
        {
            'train_cfg.max_epochs': epochs,
            'custom_hooks': [dict(type='NoteImages')],
            # Every step is saved, which takes most of the time.
            'default_hooks.checkpoint.minutes': 1e-9,
            'default_hooks.checkpoint.max_keep_ckpts': KEPT,
            'log_level': 'ERROR',
        },
    )
    cfg.work_dir = str(work_dir)
    runner = SafeRunner.from_cfg(cfg)
    runner.resume_from('auto')
    runner.train()


def start(work_dir: Path, epochs: int) -> int:
    """Process ID of a training, forked to save the time of imports."""
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
    """Files that are being written."""
    return [*work_dir.glob('.epoch_*.partial'), *work_dir.glob('.last_*.partial')]


def wait(child: int, until: float, stop) -> int | None:
    """Exit status of a process; None if ``until`` or ``stop()`` comes first."""
    while time.monotonic() < until and not stop():
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.0005)
    return None


def disturb(work_dir: Path, epochs: int, kills: int, rng: random.Random) -> Counter:
    """Train with up to ``kills`` kills; returns their number by moment."""
    moments = Counter()
    while True:
        child = start(work_dir, epochs)
        known = saved_checkpoints(work_dir)[:1]
        if sum(moments.values()) == kills:
            status = wait(child, float('inf'), lambda: False)
        elif rng.random() < 0.5:  # while saving, up to 4 ms after it began
            saving = partial(in_save, work_dir, known, rng.randrange(3))
            status = wait(child, float('inf'), saving)
            time.sleep(rng.random() * 0.004)
        else:
            status = wait(child, time.monotonic() + rng.uniform(0, 2), lambda: False)
        if status is not None:
            if status:
                sys.exit(f'a training ended by itself: see {work_dir}.log')
            return moments
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        moments[moment(work_dir)] += 1


def in_save(work_dir: Path, known: list[Path], least: int) -> bool:
    """Whether a file is being written, after at least ``least`` new checkpoints."""
    saved = saved_checkpoints(work_dir)
    new = saved.index(known[0]) if known and known[0] in saved else len(saved)
    return new >= least and bool(partial_files(work_dir))


def moment(work_dir: Path) -> str:
    """What a killed training was writing; removes these files."""
    left = partial_files(work_dir)
    for path in left:
        path.unlink()
    if not left:
        return 'at another moment'
    what = 'last_checkpoint' if 'last_checkpoint' in left[0].name else 'a state'
    return f'while writing {what}'


def compare(disturbed: Path, undisturbed: Path) -> list[str]:
    """What is not equal bit for bit in the results of two trainings."""
    ours, other = (
        torch.load(newest_valid(folder), weights_only=True)
        for folder in (disturbed, undisturbed)
    )
    parts = ('state_dict', 'optimizer', 'param_schedulers')
    found = [part for part in parts if not same(ours[part], other[part])]
    steps = read_steps(disturbed)
    expected = {step: line for step, (line,) in read_steps(undisturbed).items()}
    for step in sorted(steps.keys() | expected.keys()):
        if step not in steps:
            found.append(f'step {step} is missing')
        elif not all(same(line, expected.get(step)) for line in steps[step]):
            found.append(f'step {step}')
    return found


def read_steps(folder: Path) -> dict[int, list[dict]]:
    """Records by step; a line that a kill truncated does not count."""
    steps = {}
    for line in (folder / 'steps.jsonl').read_text().splitlines():
        with suppress(ValueError):
            entry = json.loads(line)
            steps.setdefault(entry['step'], []).append(entry)
    return steps


def main() -> int:
    parser = script_parser(__doc__)
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
