"""Runs of a comparison: training in a subprocess, probes, result."""

import difflib
import json
import math
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger, print_log

from ..checkpoints.files import read_checkpoint, resolve_checkpoint
from ..files import lock, write_text
from ..training.config import load_config
from .compute import cost_of, images_in, processor
from .drawn import run_probes
from .real import RealPeople, probe_real
from .subject import load_subject
from .table import UNTRAINED, read_result

# Key of the photographs to probe on, in the config of a row.
PROBED = 'probed_people'


class RunFailed(RuntimeError):
    """A run failed; the message names its log."""


class OutOfTime(RuntimeError):
    """The comparison ran out of time; a run in progress was saved."""


@dataclass(frozen=True)
class Run:
    """A row of a comparison, with a seed.

    All runs of a row use the config in its folder, so that edits in between cannot mix
    two experiments.
    """

    row: Path  # folder of the row, with its name
    config: Config  # resolved; its seed has no effect
    seed: int

    @property
    def folder(self) -> Path:
        return self.row / f'seed{self.seed}'

    @property
    def training(self) -> Path:
        """The config file to train with; its seed has no effect."""
        return self.row / 'config.py'

    @property
    def log(self) -> Path:
        return self.folder / 'run.log'

    @property
    def is_trained(self) -> bool:
        return self.row.name not in UNTRAINED

    def __str__(self) -> str:
        return f'{self.row.name} seed {self.seed}'

    def prepare(self) -> None:
        """Create the folders, and save the config or compare it with the saved one.

        Raises:
            ValueError: If the row was started with another config.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        file, config = self.row / 'config.py', self.config.pretty_text
        if not file.exists():
            write_text(file, config)
        if (saved := file.read_text(encoding='utf-8')) == config:
            return
        changes = difflib.unified_diff(saved.splitlines(), config.splitlines(), n=0)
        lines = [line for line in changes if not line.startswith(('@@', '---', '+++'))]
        raise ValueError(
            f'{self.row} was started with another config. Choose another --work-dir, '
            'or move the folder away. Changes since then:\n' + '\n'.join(lines[:20])
        )

    def complete(self, deadline: float = math.inf) -> None:
        """Bring the run from its current state to its result; see :func:`train`."""
        if self.is_trained:
            train(self, deadline=deadline)
        # Otherwise MMEngine logs to the terminal.
        MMLogger.get_instance(str(self.folder), log_file=str(self.log), file_mode='a')
        try:
            scores = probe(self)
            result = facts(self) | dict(flops=0)
            if self.is_trained:
                result['flops'] = cost_of(self.config).flops * result['images_seen']
        except Exception as error:
            with open(self.log, 'a') as log:
                traceback.print_exc(file=log)
            raise RunFailed(
                f'{self}: probing failed ({error}); see {self.log}'
            ) from error
        finite = {name: score for name, score in scores.items() if math.isfinite(score)}
        if omitted := sorted(scores.keys() - finite.keys()):
            print_log(f'omitted, not finite: {", ".join(omitted)}', logger='current')
        save(self, result, finite)


def work(chains: Sequence[Iterable[Run]], deadline: float = math.inf) -> bool:
    """Do all runs that have no result yet; return whether any failed.

    Args:
        chains: Runs, each prepared when its turn comes. A run that fails, or that
            another command is at work on, ends its chain.
        deadline: In seconds of ``time.monotonic``.

    Raises:
        OutOfTime: If the deadline passes.
    """
    failed, busy = False, 'another command is at work on this run; rerun later'
    for number, chain in enumerate(chains, 1):
        try:
            for run in chain:
                run.prepare()
                if read_result(run.folder):
                    continue
                if time.monotonic() > deadline:
                    raise OutOfTime(f'{run} was not started')
                print(f'[{number}/{len(chains)}] {run}, log: {run.log}', flush=True)
                with lock(run.folder / '.run', busy):
                    run.complete(deadline)
        except BlockingIOError as error:
            print(f'    skipped: {error}', flush=True)
        except RunFailed as error:
            print(f'    error: {error}', file=sys.stderr, flush=True)
            failed = True
    return failed


def save(run: Run, result: dict, scores: dict[str, float]) -> None:
    """Write the result of a run."""
    text = json.dumps(result | dict(probes=scores), indent=2)
    write_text(run.folder / 'result.json', text + '\n')


def train(run: Run, deadline: float = math.inf) -> None:
    """Train with tools/train.py, or resume; at the deadline, the trainer saves.

    Raises:
        RunFailed: If the trainer fails.
        OutOfTime: If the deadline, in seconds of ``time.monotonic``, passes.
    """
    arguments = [run.training, '--work-dir', run.folder, '--resume']
    arguments += ['--cfg-options', f'randomness.seed={run.seed}']
    try:
        run_tool('train', run, arguments, deadline)
    except subprocess.TimeoutExpired:
        raise OutOfTime(f'{run} was saved') from None


def run_tool(
    name: str, run: Run, arguments: list[object], deadline: float = math.inf
) -> None:
    """Run a script of tools/ in one process, with its output in the log of a run.

    Raises:
        RunFailed: If it fails.
        TimeoutExpired: If the deadline passes; it is told to stop first.
    """
    package = Path(__file__).parents[1]
    installed, cloned = package / '.mim/tools', package.parent / 'tools'
    script = (installed if installed.is_dir() else cloned) / f'{name}.py'
    command = [sys.executable, str(script), '--launcher', 'none']
    command += map(str, arguments)
    left = None if deadline == math.inf else max(0, deadline - time.monotonic())
    with open(run.log, 'ab') as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        status = process.wait(left)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if status:
        last = run.log.read_text(errors='replace').strip().splitlines()[-1:]
        raise RunFailed(
            f'{run}: {name}.py failed with status {status} ({"".join(last)[:300]}); '
            f'see {run.log}'
        )


def probe(run: Run) -> dict[str, float]:
    """Scores of a trained or initialized model, or of a baseline."""
    source = str(run.folder) if run.is_trained else run.row.name
    config = Config(dict(run.config, randomness=dict(seed=run.seed)))
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    subject = load_subject(source, config, device)
    people = RealPeople(**run.config.get(PROBED, {}))
    scores = run_probes(subject)
    for found in probe_real(subject, people):
        scores |= found
    return scores


def facts(run: Run) -> dict:
    """Contents of a result besides its scores; nothing depends on the date."""
    images_seen = 0
    if run.is_trained:
        steps = read_checkpoint(resolve_checkpoint(run.folder))['meta']['iter']
        images_seen = images_in(load_config(str(run.training)), steps)
    # From the start to the last line of each log.
    seconds = sum(
        file.stat().st_mtime - time.mktime(time.strptime(file.stem, '%Y%m%d_%H%M%S'))
        for file in run.folder.glob('2*/2*.log')
    )
    cuda = torch.cuda.is_available()
    cpu = f'{processor()} with {os.cpu_count()} cores'
    return dict(
        seed=run.seed,
        images_seen=images_seen,
        seconds=round(seconds, 1),
        environment=dict(
            revision=_revision(),
            torch=torch.__version__,
            device=torch.cuda.get_device_name() if cuda else cpu,
            threads=torch.get_num_threads(),
        ),
    )


def _revision() -> str | None:
    """The commit of this clone, with '+' if modified; None outside a clone."""
    root = Path(__file__).parents[2]
    if not (root / '.git').exists():  # installed, perhaps within another repository
        return None
    command = ['git', '-C', str(root), 'describe', '--always']
    command += ['--exclude=*', '--abbrev=12', '--dirty=+']
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None
