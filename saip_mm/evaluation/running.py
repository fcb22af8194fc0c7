"""One run of a comparison: training in a subprocess, probes, result."""

import json
import math
import os
import platform
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

import torch
from mmengine.logging import MMLogger, print_log
from mmengine.runner import set_random_seed

from ..checkpoints.files import read_checkpoint, resolve_checkpoint, write_checkpoint
from ..files import write_text
from .compute import cost_of
from .drawn import run_probes
from .real import RealPeople, probe_real
from .rows import BASELINES, PROBED, RANDOM, Run, digest
from .stock import build_model
from .subject import load_subject

PROGRESS = re.compile(
    rb'Epoch\(train\) +(\[\d+\]\[ *\d+/\d+\]).*? eta: ((?:\d+ days?, )?[\d:]+)'
)
POLL_SECONDS, REPORT_SECONDS = 5.0, 60.0


class RunFailed(RuntimeError):
    """A run failed; the message names its log."""


class OutOfTime(RuntimeError):
    """The time of the comparison is over; the training was saved."""


def complete(run: Run, trainer: Path, lock: IO, deadline: float = math.inf) -> None:
    """Bring a run from its current state to its result.

    Args:
        run: The run.
        trainer: ``tools/train.py``.
        lock: Its open lock file.
        deadline: Of the training, in seconds of ``time.monotonic``.

    Raises:
        RunFailed: If training or a probe fails.
        OutOfTime: If the deadline passes.
    """
    if run.row.is_trained and not run.training()['finished']:
        train(run, trainer, lock, deadline=deadline)
    # Otherwise MMEngine logs to the terminal.
    MMLogger.get_instance(str(run.folder), log_file=str(run.log), file_mode='a')
    try:
        if run.row.name == RANDOM:
            initialize(run)
        known = facts(run)
        cost = cost_of(run.row.config).flops if run.row.is_trained else 0
        known |= dict(flops=cost * known['images_seen'])
        probes = probe(run)
        finite = {name: value for name, value in probes.items() if math.isfinite(value)}
        if omitted := sorted(probes.keys() - finite.keys()):
            print_log(f'omitted, not finite: {", ".join(omitted)}', logger='current')
        result = known | dict(probes=finite)
    except Exception as error:
        with open(run.log, 'a') as log:
            traceback.print_exc(file=log)
        raise RunFailed(f'{run}: probing failed ({error}); see {run.log}') from error
    write_text(run.result_file, json.dumps(result, indent=2) + '\n')


def probe(run: Run) -> dict[str, float]:
    """Scores of a trained or initialized model, or of a baseline.

    Baselines have no features of patches, hence no scores of keypoints and parts.
    """
    source = run.row.name if run.row.name in BASELINES else str(run.folder)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    subject = load_subject(source, run.row.config, device)
    people = RealPeople(**run.row.config.get(PROBED, {}))
    if not subject.features.has_patches:
        people = replace(people, parts=None, coco=())
    scores = run_probes(subject)
    for found in probe_real(subject, people):
        scores |= found
    return scores


def initialize(run: Run) -> None:
    """Save the untrained model of the row's config."""
    set_random_seed(run.seed)
    model = build_model(run.row.config)
    model.init_weights()
    path = run.folder / 'epoch_0.pth'
    write_checkpoint(path, model.state_dict(), dict(seed=run.seed, epoch=0, iter=0))
    write_text(run.folder / 'last_checkpoint', str(path))


def train(
    run: Run,
    trainer: Path,
    lock: IO,
    options: Mapping[str, object] | None = None,
    deadline: float = math.inf,
) -> None:
    """Train, or resume from the last checkpoint, and wait for the end.

    ``training.json`` adds up the seconds over all restarts.

    Args:
        run: The run.
        trainer: ``tools/train.py``.
        lock: Its open lock file.
        options: Settings besides the seed that differ from those of the row.
        deadline: In seconds of ``time.monotonic``.

    Raises:
        RunFailed: If the trainer fails.
        OutOfTime: If the deadline passes; the trainer saves its state first.
    """
    command = [sys.executable, str(trainer), str(run.row.config_file)]
    command += ['--work-dir', str(run.folder), '--resume', '--launcher', 'none']
    changed = {'randomness.seed': run.seed} | dict(options or {})
    command += ['--cfg-options', *(f'{name}={changed[name]}' for name in changed)]
    before, start = run.training()['seconds'], time.monotonic()
    with open(run.log, 'ab') as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, pass_fds=[lock.fileno()]
        )
    reported, status = start, None
    try:
        while status is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(POLL_SECONDS)
            if time.monotonic() > deadline and process.poll() is None:
                raise OutOfTime(f'{run}: {last_progress(run.log) or "not started"}')
            now, status = time.monotonic(), process.poll()
            state = dict(seconds=before + now - start, finished=status == 0)
            write_text(run.folder / 'training.json', json.dumps(state))
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
            f'{run}: training failed with status {status} ({"".join(last)[:300]}); '
            f'see {run.log}'
        )


def last_progress(log: Path) -> str:
    """Epoch, step and remaining time in the last lines of a log, or nothing."""
    with open(log, 'rb') as file:
        file.seek(max(0, log.stat().st_size - 4096))
        found = PROGRESS.findall(file.read())
    return 'epoch {}, {} left'.format(*map(bytes.decode, found[-1])) if found else ''


def facts(run: Run) -> dict:
    """Contents of a result besides its probes; nothing depends on the date."""
    images_seen = 0
    if run.row.is_trained:
        steps = read_checkpoint(resolve_checkpoint(run.folder))['meta']['iter']
        images_seen = steps * run.row.config.train_dataloader.batch_size
    cuda = torch.cuda.is_available()
    cpu = f'{platform.machine()} with {os.cpu_count()} cores'
    return dict(
        row=run.row.name,
        seed=run.seed,
        config=f'{run.row.name}/{run.row.config_file.name}',
        config_sha256=digest(run.row.config),
        images_seen=images_seen,
        seconds=round(run.training()['seconds'], 1),
        environment=dict(
            revision=_revision(),
            python=platform.python_version(),
            torch=torch.__version__,
            device=torch.cuda.get_device_name() if cuda else cpu,
            threads=torch.get_num_threads(),
        ),
    )


def _revision() -> str | None:
    """The commit of this clone, with '+' if modified; None outside a clone."""
    command = ['git', '-C', str(Path(__file__).parents[2]), 'describe', '--always']
    try:
        done = subprocess.run(
            [*command, '--exclude=*', '--abbrev=12', '--dirty=+'],
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None
