"""What a work directory tells about its training, in whatever state that is."""

import json
import math
import re
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mmengine.config import Config

from ..checkpoints.checkpoint_file import saved_checkpoints
from ..checkpoints.kept_config import parse_config

Series = dict[str, list[tuple[int, float]]]
"""Points (optimizer steps done, value) of every scalar, by name, in order of steps."""

_STAMP = re.compile(r'^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) - ', re.MULTILINE)
_STEP = re.compile(r'Epoch\(train\)\s+\[\s*(\d+)\]\[\s*(\d+)/(\d+)\]')
_SAVED = re.compile(r'Saved .*epoch_(\d+)\.pth')
_RESUMED = re.compile(r'resumed epoch: (\d+), iter: (\d+)')
_PROCESSES = re.compile(r'^\s*GPU number: (\d+)$', re.MULTILINE)
_ENVIRONMENT = re.compile(r'System environment:\n(.*?)\n(?:Runtime|-{20})', re.DOTALL)
_TRACEBACK = 'Traceback (most recent call last)'
_QUIET = 300  # seconds without a line after which a training is not called running


class Unavailable(Exception):
    """Something cannot be shown; the message says why in one sentence."""


class Refused(Unavailable):
    """A config that is there, and is not read because it is more than data."""


@dataclass(frozen=True)
class Run:
    """One start of the training: what its folder, named by the time, holds."""

    folder: Path
    log: str
    records: list[dict]
    """Lines of scalars.json, each with ``step``."""
    unreadable: int
    """Lines of scalars.json that could not be read, such as a half-written one."""


@dataclass(frozen=True)
class Progress:
    """How far the training is."""

    state: str
    """finished, running, crashed or interrupted."""
    step: int
    steps: int | None
    """Steps of the whole training; None where neither log nor config say."""
    seconds: float
    """Time between the first and last line of each run's log, summed."""
    last_sign: float | None
    """Seconds since the log was last written to."""
    traceback: str | None


class WorkDir:
    """A work directory of ``tools/train.py``.

    Args:
        path: Folder.

    Raises:
        FileNotFoundError: If it holds neither a log nor a checkpoint.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        found = [
            *self.path.glob('*/*.log'),
            *(file.parent for file in self.path.glob('*/vis_data/scalars.json')),
        ]
        self.runs = [_read_run(folder) for folder in sorted({f.parent for f in found})]
        if not self.runs and not self.checkpoints():
            raise FileNotFoundError(
                f'{path} is no work directory of a training: it has neither a log '
                '(TIME/TIME.log, TIME/vis_data/scalars.json) nor a checkpoint '
                '(epoch_N.pth); name the folder that was given to tools/train.py as '
                '--work-dir, or the one in work_dirs that is named like the config'
            )

    @property
    def log(self) -> str:
        """Log of the last run, '' without one."""
        return self.runs[-1].log if self.runs else ''

    def config_file(self) -> Path:
        """The config that MMEngine wrote down, of the last run.

        Raises:
            Unavailable: If there is none.
        """
        dumped = [run.folder / 'vis_data' / 'config.py' for run in self.runs[::-1]]
        others = sorted(
            self.path.glob('*.py'), key=lambda f: f.stat().st_mtime, reverse=True
        )
        for file in (*dumped, *others):
            if file.is_file():
                return file
        raise Unavailable(
            f'{self.path} has no config (*.py), which training writes: give --config.'
        )

    def config(self) -> Config:
        """That config, read as data: nothing of it is run.

        Raises:
            Unavailable: If there is none.
            Refused: If it cannot be read so.
        """
        file = self.config_file()
        try:
            return parse_config(file.read_text(errors='replace'), str(file))
        except ValueError as error:
            raise Refused(f'{error}: if you trust it, give --config.') from error

    def checkpoints(self) -> list[Path]:
        """Training checkpoints, the latest first."""
        return saved_checkpoints(self.path)

    def series(self) -> Series:
        """All scalars over the runs; of steps done twice, those of the later run."""
        merged: dict[str, dict[int, float]] = defaultdict(dict)
        for run in self.runs:
            first = min((record['step'] for record in run.records), default=math.inf)
            for points in merged.values():
                for step in [step for step in points if step >= first]:
                    del points[step]
            for record in run.records:
                for name, value in record.items():
                    if isinstance(value, int | float) and math.isfinite(value):
                        merged[name][record['step']] = value
        return {name: sorted(points.items()) for name, points in merged.items()}

    def processes(self) -> int:
        """How many processes trained; 1 where the log does not say."""
        found = _PROCESSES.search(self.log)
        return int(found[1]) if found else 1

    def environment(self) -> dict[str, str]:
        """What the last run's log says of Python, libraries and devices."""
        block = _ENVIRONMENT.search(self.log)
        if not block:
            return {}
        lines = re.findall(r'^    (\w[^:\n]*): (.+)$', block[1], re.MULTILINE)
        return {name: value for name, value in lines if 'compiling' not in name}

    def progress(self, max_epochs: int | None) -> Progress:
        """How far the training is, of ``max_epochs`` where the config says."""
        log = self.log
        steps_of_epochs = [of for run in self.runs for *_, of in _STEP.findall(run.log)]
        per_epoch = int(steps_of_epochs[-1]) if steps_of_epochs else None
        step = max((points[-1][0] for points in self.series().values()), default=0)
        saved = max(map(int, _SAVED.findall(log)), default=0)
        if resumed := _RESUMED.findall(log):
            epochs, step = map(int, resumed[-1])
            saved = max(saved, epochs)
        if found := _STEP.findall(log):
            epoch, iteration, _ = map(int, found[-1])
            step = max(step, (epoch - 1) * per_epoch + iteration)
        if per_epoch:
            step = max(step, saved * per_epoch)
        steps = per_epoch * max_epochs if per_epoch and max_epochs else None
        start = log.rfind(_TRACEBACK)
        traceback = log[start:].strip() if start >= 0 else None
        last_sign = self._seconds_since_last_line()
        if traceback:
            by_hand = traceback.endswith('KeyboardInterrupt')
            state = 'interrupted' if by_hand else 'crashed'
        elif max_epochs and saved >= max_epochs:
            state = 'finished'
        elif last_sign is not None and last_sign < max(_QUIET, 5 * _last_gap(log)):
            state = 'running'
        else:
            state = 'interrupted'
        return Progress(
            state=state,
            step=step,
            steps=steps,
            seconds=sum(_duration(run.log) for run in self.runs),
            last_sign=last_sign,
            traceback=traceback if state == 'crashed' else None,
        )

    def _seconds_since_last_line(self) -> float | None:
        if not self.runs:
            return None
        files = [f for f in self.runs[-1].folder.rglob('*') if f.is_file()]
        return max(0.0, time.time() - max(f.stat().st_mtime for f in files))


def _read_run(folder: Path) -> Run:
    logs = sorted(folder.glob('*.log'))
    log = logs[-1].read_text(errors='replace') if logs else ''
    scalars = folder / 'vis_data' / 'scalars.json'
    lines = scalars.read_text(errors='replace').splitlines() if scalars.exists() else []
    records = [record for record in map(_parse, filter(str.strip, lines)) if record]
    unreadable = sum(map(bool, map(str.strip, lines))) - len(records)
    return Run(folder, log, records, unreadable)


def _parse(line: str) -> dict | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    known = isinstance(record, dict) and isinstance(record.get('step'), int)
    return record if known else None


def _times(log: str) -> list[datetime]:
    return [datetime.strptime(s, '%Y/%m/%d %H:%M:%S') for s in _STAMP.findall(log)]


def _duration(log: str) -> float:
    times = _times(log)
    return (times[-1] - times[0]).total_seconds() if times else 0.0


def _last_gap(log: str) -> float:
    times = _times(log)[-2:]
    return (times[-1] - times[0]).total_seconds() if times else 0.0
