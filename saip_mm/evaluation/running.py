"""One run: pretraining in a process of its own, then probes, then its result."""

import json
import math
import os
import platform
import re
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import IO

import torch
from mmengine.logging import MMLogger, print_log
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed
from mmpretrain.registry import MODELS

from .. import __version__
from ..checkpoints.checkpoint import (
    read_checkpoint,
    resolve_checkpoint,
    write_checkpoint,
)
from ..files import write_text
from . import load_subject, run_probes
from .rows import BASELINES, RANDOM, Run, digest

PROGRESS = re.compile(
    rb'Epoch\(train\) +(\[\d+\]\[ *\d+/\d+\]).*? eta: ((?:\d+ days?, )?[\d:]+)'
)
POLL_SECONDS = 5.0
REPORT_SECONDS = 60.0


class RunFailed(RuntimeError):
    """A run that could not be finished; the message names its log."""


def complete(run: Run, trainer: Path, lock: IO) -> None:
    """Bring a run from wherever it stands to its result.

    Args:
        run: What to run.
        trainer: ``tools/train.py``.
        lock: The file that holds the run's lock.

    Raises:
        RunFailed: If training or a probe fails.
    """
    if run.row.is_trained and not training_of(run)['finished']:
        train(run, trainer, lock)
    # With a log file of its own MMEngine says there what it would say here.
    MMLogger.get_instance(str(run.folder), log_file=str(run.log), file_mode='a')
    try:
        if run.row.name == RANDOM:
            initialise(run)
        result = describe(run) | dict(probes=only_finite(probe(run)))
    except Exception as error:
        with open(run.log, 'a') as log:
            traceback.print_exc(file=log)
        raise RunFailed(f'{run}: probing failed ({error}); see {run.log}') from error
    write_text(run.result_file, json.dumps(result, indent=2) + '\n')


def probe(run: Run) -> dict[str, float]:
    """Figures of a trained or initialised model, or of a baseline."""
    source = run.row.name if run.row.name in BASELINES else str(run.folder)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    return run_probes(load_subject(source, run.row.config, device))


def only_finite(figures: dict[str, float]) -> dict[str, float]:
    """Figures without those that are no numbers; the log says which."""
    finite = {name: value for name, value in figures.items() if math.isfinite(value)}
    if left_out := sorted(figures.keys() - finite.keys()):
        print_log(f'not finite, left out: {", ".join(left_out)}', logger='current')
    return finite


def initialise(run: Run) -> None:
    """Save the model of the row's config as it is before training."""
    init_default_scope('mmpretrain')
    set_random_seed(run.seed)
    model = MODELS.build(run.row.config.model)
    model.init_weights()
    meta = dict(seed=run.seed, epoch=0, iter=0)
    path = run.folder / 'epoch_0.pth'
    write_checkpoint(path, model.state_dict(), meta)
    write_text(run.folder / 'last_checkpoint', str(path))


def train(run: Run, trainer: Path, lock: IO) -> None:
    """Train, or go on training from the last checkpoint, and wait for the end.

    ``training.json`` adds up its seconds over all sittings.

    Raises:
        RunFailed: If the trainer fails.
    """
    command = [sys.executable, str(trainer), str(run.row.config_file)]
    command += ['--work-dir', str(run.folder), '--resume', '--launcher', 'none']
    command += ['--cfg-options', f'randomness.seed={run.seed}']
    before, start = training_of(run)['seconds'], time.monotonic()
    with open(run.log, 'ab') as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, pass_fds=[lock.fileno()]
        )
    reported, status = start, None
    try:
        while status is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(POLL_SECONDS)
            now, status = time.monotonic(), process.poll()
            keep = dict(seconds=before + now - start, finished=status == 0)
            write_text(run.folder / 'training.json', json.dumps(keep))
            if now - reported > REPORT_SECONDS and (progress := last_progress(run.log)):
                print(f'    {run}: {progress}', flush=True)
                reported = now
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if status:
        last = run.log.read_text(errors='replace').strip().splitlines()[-1:]
        raise RunFailed(
            f'{run}: training failed with status {status} '
            f'({"".join(last)[:300]}); see {run.log}'
        )


def training_of(run: Run) -> dict:
    """``seconds`` that training took so far, start-up included; is it ``finished``?"""
    file = run.folder / 'training.json'
    if not file.exists():
        return dict(seconds=0.0, finished=False)
    return json.loads(file.read_text())


def last_progress(log: Path) -> str:
    """Epoch, step and time left as a training log last says; empty if it does not."""
    with open(log, 'rb') as file:
        file.seek(max(0, log.stat().st_size - 4096))
        found = PROGRESS.findall(file.read())
    return 'epoch {}, {} left'.format(*map(bytes.decode, found[-1])) if found else ''


def describe(run: Run) -> dict:
    """What a result says besides its probes; nothing that depends on the date."""
    config = run.row.config
    result = dict(
        row=run.row.name,
        seed=run.seed,
        config=f'{run.row.name}/{run.row.config_file.name}',
        config_sha256=digest(config),
        images_seen=0,
        seconds=round(training_of(run)['seconds'], 1),
        environment=environment(),
    )
    if run.row.is_trained:
        steps = read_checkpoint(resolve_checkpoint(run.folder))['meta']['iter']
        result['images_seen'] = steps * config.train_dataloader.batch_size
    return result


def environment() -> dict:
    """Versions and machine that a result was made with."""
    cuda = torch.cuda.is_available()
    cpu = f'{platform.machine()} with {os.cpu_count()} cores'
    return dict(
        saip_mm=__version__,
        revision=revision(),
        python=platform.python_version(),
        torch=torch.__version__,
        device=torch.cuda.get_device_name() if cuda else cpu,
        threads=torch.get_num_threads(),
    )


def revision() -> str | None:
    """The commit of this clone, with '+' if files differ from it; None in no clone."""
    git = ['git', '-C', str(Path(__file__).parents[2])]
    try:
        commit = subprocess.run(
            [*git, 'rev-parse', '--short=12', 'HEAD'], capture_output=True, text=True
        )
        changed = subprocess.run(
            [*git, 'status', '--porcelain', '--', 'saip_mm', 'tools'],
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        return None
    if commit.returncode or changed.returncode:
        return None
    return commit.stdout.strip() + ('+' if changed.stdout.strip() else '')
