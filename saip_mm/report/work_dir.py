"""State of a training run from its work directory, at any time, even after a crash."""

import json
import math
import re
import time
from collections import defaultdict
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config

from ..checkpoints.buildable import check_buildable
from ..checkpoints.files import epoch_and_step, saved_checkpoints
from ..checkpoints.kept_config import parse_config

Series = dict[str, list[tuple[int, float]]]
"""Points (optimizer step, value) of every logged scalar."""

_STAMP = re.compile(r'^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) - ', re.MULTILINE)
_STEP = re.compile(r'Epoch\(train\)\s+\[\s*(\d+)\]\[\s*(\d+)/(\d+)\]')
_TEST = re.compile(r' - (Epoch|Iter)\(test\)')
_BUSY = re.compile(r'^BlockingIOError: .* another run is using', re.MULTILINE)
_TRACEBACK = 'Traceback (most recent call last)'
_STOPPED = re.compile(r' - stopped by .* after step \d+; ')  # of SafeCheckpointHook
_QUIET = 300  # seconds without a log line after which a run counts as stopped


class Unavailable(Exception):
    """Something cannot be shown, for the reason in the message."""


class Progress(NamedTuple):
    """Progress of a training run."""

    state: str  # 'finished', 'running', 'crashed' or 'interrupted'
    step: int  # optimizer steps done
    steps: int | None  # in all, if known
    seconds: float  # from the first to the last line of each log, summed over runs
    last_logged: datetime | None
    traceback: str | None  # of a crash


class WorkDir:
    """A work directory of ``tools/train.py``.

    Attributes:
        runs: Folders of a training and its resumptions, named after their time; those
            of earlier trainings that started at the same step are left out.
        logs: Contents of their log files, by folder.

    Raises:
        FileNotFoundError: If the folder has neither a log nor a checkpoint.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        files = [*self.path.glob('*/*.log'), *self.path.glob('*/vis_data')]
        folders = sorted({file.parent for file in files})
        logs = {folder: _read(*folder.glob('*.log')) for folder in folders}
        # By default, tools/test.py logs to the same folder.
        runs = [run for run, log in logs.items() if not _TEST.search(log)]
        records = {run: _records(run) for run in runs}
        # A run that was refused because of another one is none of its resumptions.
        self._records = {
            run: records[run]
            for run in runs
            if records[run] or not _BUSY.search(logs[run])
        }
        self.runs = _since_last_start(self._records)
        self.logs = {run: logs[run] for run in self.runs}
        if not self.runs and not self.checkpoints:
            raise FileNotFoundError(
                f'{path} is not a work directory: it has neither a log '
                '(TIME/TIME.log, TIME/vis_data/scalars.json) nor a checkpoint '
                '(epoch_N.pth); give the --work-dir of tools/train.py, by default '
                'work_dirs/CONFIG'
            )

    @property
    def checkpoints(self) -> list[Path]:
        """Training checkpoints at this moment, newest first."""
        return saved_checkpoints(self.path)

    @property
    def name(self) -> str:
        """Names of the folder and of the one that contains it."""
        return '/'.join(self.path.resolve().parts[-2:])

    def _accepted(self) -> list[Path]:
        """Folders of runs, newest first, but those without a logged step last.

        They may have been refused, for example a resume with other settings.
        """

        def has_steps(run: Path) -> bool:
            return (run / 'vis_data/scalars.json').exists()

        return sorted(reversed(self.runs), key=has_steps, reverse=True)

    def config_file(self) -> Path:
        """The config that MMEngine dumped in the last run that logged a step, if any.

        Raises:
            Unavailable: If there is none.
        """
        dumped = [run / 'vis_data/config.py' for run in self._accepted()]
        for file in filter(Path.is_file, (*dumped, *self.path.glob('*.py'))):
            return file
        raise Unavailable(f'{self.path} has no config (*.py): give --config.')

    def saved_config(self) -> Config:
        """The config in :meth:`config_file`, parsed as data without executing it."""
        file = self.config_file()
        return parse_config(_read(file), str(file))

    def config(self) -> Config:
        """The same config, checked to be safe to build.

        Raises:
            Unavailable: If there is none, or it is not allowed.
        """
        try:
            return check_buildable(self.saved_config(), str(self.config_file()))
        except ValueError as error:
            raise Unavailable(f'{error}: if you trust it, give --config.') from error

    def start(self) -> str | None:
        """The checkpoint that training started from; None for random weights."""
        config = self.saved_config()
        given = config.model.get('backbone', {}).get('init_cfg') or {}
        return config.get('load_from') or given.get('checkpoint')

    def series(self) -> Series:
        """Scalars of all trainings; for repeated steps, those of the later run."""
        merged: dict[str, dict[int, float]] = defaultdict(dict)
        for run in self.runs:
            records = self._records[run]
            first = min((record['step'] for record in records), default=math.inf)
            for name, points in merged.items():
                merged[name] = {k: v for k, v in points.items() if k < first}
            for record in records:
                for name, value in record.items():
                    if isinstance(value, int | float) and math.isfinite(value):
                        merged[name][record['step']] = value
        return {name: sorted(points.items()) for name, points in merged.items()}

    def processes(self) -> int:
        """Training processes of the last run that logged a step; 1 if not logged."""
        logs = '\n'.join(self.logs[run] for run in self._accepted())
        found = re.search(r'^\s*GPU number: (\d+)$', logs, re.M)
        return int(found[1]) if found else 1

    def progress(
        self, max_epochs: int | None, max_iters: int | None = None
    ) -> Progress:
        """How far training is, out of ``max_epochs`` or ``max_iters`` if known."""
        logs = [*self.logs.values()]
        log = logs[-1] if logs else ''
        logged = _STEP.findall('\n'.join(logs))
        epoch, iteration, length = map(int, logged[-1]) if logged else (1, 0, 0)
        saved, saved_iter = max(map(epoch_and_step, self.checkpoints), default=(0, 0))
        finished = (max_epochs and saved >= max_epochs) or (
            max_iters and not saved and saved_iter >= max_iters
        )
        steps = [points[-1][0] for points in self.series().values() if points]
        written = [f.stat().st_mtime for run in self.runs[-1:] for f in run.rglob('*')]
        _, found, traceback = log.partition(_TRACEBACK)
        crashed = found and not traceback.strip().endswith('KeyboardInterrupt')
        state = 'interrupted'
        if crashed:
            state = 'crashed'
        elif finished:
            state = 'finished'
        elif written and not found and not _STOPPED.search(log):
            quiet = max(_QUIET, 5 * _seconds(log, last=2))
            state = 'running' if time.time() - max(written) < quiet else state
        return Progress(
            state=state,
            step=max(
                saved * length, saved_iter, (epoch - 1) * length + iteration, *steps
            ),
            steps=length * max_epochs if length and max_epochs else max_iters,
            seconds=sum(map(_seconds, logs)),
            last_logged=datetime.fromtimestamp(max(written)) if written else None,
            traceback=(found + traceback).strip() if crashed else None,
        )


def _since_last_start(records: dict[Path, list[dict]]) -> list[Path]:
    """Runs without those of which a later run repeats all steps."""
    firsts = [
        min((record['step'] for record in logged), default=None)
        for logged in records.values()
    ]
    known = [first for first in firsts if first is not None]
    start = len(firsts) - 1 - firsts[::-1].index(min(known)) if known else 0
    return list(records)[start:]


def _records(run: Path) -> list[dict]:
    """What a run logged of its steps."""
    records = []
    for line in _read(*run.glob('vis_data/scalars.json')).splitlines():
        with suppress(ValueError):  # of an incomplete line
            records.append(json.loads(line))
    # In those of a validation, which also have this time, steps may be epochs.
    return [each for each in records if 'iter' in each or 'data_time' not in each]


def _read(*files: Path) -> str:
    return '\n'.join(file.read_text(errors='replace') for file in sorted(files))


def _seconds(log: str, last: int = 0) -> float:
    """Time from the first to the last line of a log, or of its ``last`` lines."""
    stamps = _STAMP.findall(log)[-last:]
    times = [datetime.strptime(stamp, '%Y/%m/%d %H:%M:%S') for stamp in stamps]
    return (times[-1] - times[0]).total_seconds() if times else 0.0
