"""A page about a work directory: what was trained, and what came of it."""

import datetime
import platform
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from html import escape
from pathlib import Path

import mmengine
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from rich.progress import track

from .. import __version__
from ..checkpoints.kept_config import check_buildable
from ..data.images import find_images
from ..files import check_writable, write_text
from ..models import SAIP
from ..training.config import load_config
from . import curves, page, sections
from .model import latest, untrained
from .people import People
from .work_dir import Progress, Refused, Unavailable, WorkDir

NUM_SAMPLES = 6
WORDS = dict(
    finished='Finished',
    running='Running',
    crashed='Stopped by an error',
    interrupted='Interrupted',
)


def write_report(
    path: str | Path,
    out: str | Path | None = None,
    images: str | None = None,
    config: str | Path | None = None,
) -> tuple[Path, list[str]]:
    """Write the report of a work directory; the file appears only once it is whole.

    Args:
        path: Work directory.
        out: HTML file to write; by default ``report.html`` in the work directory.
        images: Folder of people to show instead of the config's.
        config: Of the training. It is run, as configs are; the one in the work
            directory, which is the default, is read as data.

    Returns:
        The file, and sentences about what could not be shown.

    Raises:
        OSError: If ``path`` is no work directory, ``out`` cannot be written, or an
            image of ``images`` cannot be read.
        ValueError: If ``config`` cannot be used, or a part of the page failed that
            another page at ``out`` may have, which is kept.
    """
    out = Path(out) if out else Path(path) / 'report.html'
    work_dir = WorkDir(path)
    check_writable(out)
    named = load_config(str(config), {}) if config else None
    report = Report(work_dir, images, named)
    html = report.html()
    if report.failures and out.exists():
        raise ValueError(
            f'{out} is kept as it was, because a part of the new page failed: '
            f'{report.failures[0]}. To have the page without it, name another --out'
        )
    write_text(out, html)
    return out, report.gaps


class Report:
    """Everything that a page about a work directory shows.

    Args:
        work_dir: Its logs, config and checkpoints.
        images: Folder of people to show; None for those of the config.
        config: Of the training; None for the one in the work directory.

    Attributes:
        gaps: Sentences about what could not be shown, once the page is made.
        failures: Those of them that are about errors.
    """

    def __init__(
        self,
        work_dir: WorkDir,
        images: str | None = None,
        config: Config | None = None,
    ) -> None:
        self.work_dir, self.images, self.named = work_dir, images, config
        self.gaps: list[str] = []
        self.failures: list[str] = []
        self.people = cache(lambda: People(self.buildable(), self.images))
        self.samples = cache(lambda: self.people().samples(NUM_SAMPLES))
        self.gallery = cache(lambda: self.people().gallery())
        self.latest = cache(lambda: latest(work_dir, self.buildable()))
        init_default_scope('mmpretrain')

    @cache  # noqa: B019  (a report is made once)
    def config(self) -> Config:
        return self.work_dir.config() if self.named is None else self.named

    @cache  # noqa: B019
    def buildable(self) -> Config:
        """The same, where model and data set may be built.

        Raises:
            Refused: If the one in the work directory builds what it may not.
        """
        if self.named is not None:
            return self.named
        try:
            return check_buildable(self.config(), str(self.work_dir.config_file()))
        except ValueError as error:
            raise Refused(f'{error}: if you trust it, give --config.') from error

    def model(self) -> SAIP:
        return self.latest()[0].model

    def html(self) -> str:
        """The page.

        Raises:
            OSError: If images that the user has named cannot be read.
        """
        if self.images is not None:
            find_images(self.images)
            with suppress(Unavailable):  # without a config; the sections say so
                self.samples(), self.gallery()
        series = self.work_dir.series()
        parts = [
            ('Losses', sections.LOSSES, lambda: self._charts(series, 'loss')),
            ('Probes', sections.PROBES, lambda: self._charts(series, 'probe')),
            (
                'Training samples',
                sections.VIEWS,
                lambda: sections.show_views(self.samples()[:3]),
            ),
            (
                'Reconstruction',
                sections.RECONSTRUCTION,
                lambda: sections.show_reconstruction(self.model(), self.samples()),
            ),
            (
                'Search',
                sections.SEARCH,
                lambda: sections.show_search(self.model(), self.samples()),
            ),
            (
                'Attention',
                sections.ATTENTION,
                lambda: sections.show_attention(self.model(), self.gallery()),
            ),
            ('Nearest neighbours', sections.NEIGHBOURS, self._neighbours),
            ('Environment', sections.ENVIRONMENT, self._environment),
            ('Config', sections.CONFIG, self._config),
        ]
        made = [
            self._section(*part)
            for part in track(parts, 'Making the sections', transient=True)
        ]
        return page.page(f'Pretraining: {self._name()}', self._head(), made)

    def _section(self, title: str, text: str, make: Callable[[], str]) -> page.Section:
        try:
            body = make()
        except Unavailable as reason:
            body = self._gap(title, str(reason))
            if isinstance(reason, Refused):
                self.failures.append(self.gaps[-1])
        except Exception as error:  # whatever ails a part, the others are wanted
            body = self._gap(title, f'{type(error).__name__}: {error}')
            self.failures.append(self.gaps[-1])
        return page.Section(title, text, body)

    def _gap(self, title: str, reason: str) -> str:
        self.gaps.append(f'{title}: {reason}')
        return page.missing(reason)

    def _name(self) -> str:
        files = sorted(self.work_dir.path.glob('*.py'))
        return files[-1].stem if files else self.work_dir.path.resolve().name

    def _images_per_step(self) -> int | None:
        try:
            batch = self.config().train_dataloader.batch_size
        except (Unavailable, AttributeError):
            return None
        return batch * self.work_dir.processes()

    def _head(self) -> str:
        try:
            max_epochs = self.config().train_cfg.max_epochs
        except (Unavailable, AttributeError):
            max_epochs = None
        done = self.work_dir.progress(max_epochs)
        lines = [f'<h1>{escape(self._name())}</h1>', self._state(done)]
        if done.steps:
            lines.append(
                f'<progress max="{done.steps}" value="{done.step}" '
                f'aria-label="Steps done">{done.step / done.steps:.0%}</progress>'
            )
        if done.traceback:
            lines.append(page.details('What stopped it', done.traceback[-4000:]))
        for find in (self.latest, self.people):
            try:
                found = find()
            except Exception:  # its sections say why
                continue
            note = found.note if isinstance(found, People) else found[1]
            lines.append(f'<p>{escape(note)}</p>')
        return ''.join(lines)

    def _state(self, done: Progress) -> str:
        steps = f'{done.step} of {done.steps}' if done.steps else f'{done.step}'
        words = f'{WORDS[done.state]}: {steps} optimizer steps'
        if each := self._images_per_step():
            words += f', {done.step * each:,} images seen'
        facts = [f'{words}.']
        if done.seconds:
            took = datetime.timedelta(seconds=round(done.seconds))
            starts = len(self.work_dir.runs)
            runs = f'{starts} runs' if starts > 1 else 'one run'
            so_far = 'So far it took' if done.state == 'running' else 'It took'
            facts.append(f'{so_far} {took} in {runs}, by the logs.')
        if done.state == 'interrupted' and done.last_sign is not None:
            ago = datetime.timedelta(seconds=round(done.last_sign))
            facts.append(f'Its last sign of life was {ago} before this report.')
        if broken := sum(run.unreadable for run in self.work_dir.runs):
            facts.append(f'{broken} half-written line(s) of the log are left out.')
        now = datetime.datetime.now().strftime('%Y-%m-%d %H:%M')
        facts.append(f'Report of {now}.')
        return (
            f'<p><span class="state {done.state}">{escape(facts[0])}</span> '
            f'{escape(" ".join(facts[1:]))}</p>'
        )

    def _charts(self, series: dict, kind: str) -> str:
        if kind == 'probe':
            charts = curves.probe_charts(series)
            reason = 'No probe has been logged.'
        else:
            try:
                matching = self.config().model.get('matching') or {}
            except (Unavailable, AttributeError):
                matching = {}
            charts = curves.loss_charts(series, matching.get('out_channels'))
            reason = 'No loss has been logged yet.'
        if not charts:
            raise Unavailable(reason)
        each = self._images_per_step()
        drawn = ''.join(curves.draw(chart, each) for chart in charts)
        return f'<div class="charts">{drawn}</div>'

    def _neighbours(self) -> str:
        trained, _ = self.latest()
        before = untrained(self.buildable())
        subjects = {'Before, random weights': before, 'Now': trained}
        return sections.show_neighbours(subjects, self.gallery())

    def _environment(self) -> str:
        logged = self.work_dir.environment()
        facts = logged or {
            'Python': platform.python_version(),
            'PyTorch': torch.__version__,
            'MMEngine': mmengine.__version__,
        }
        facts['Processes'] = self.work_dir.processes()
        facts['saip_mm of this report'] = __version__
        device = 'cpu'
        if torch.cuda.is_available():
            device = torch.cuda.get_device_name()
        facts['Device of this report'] = f'{device}, {torch.get_num_threads()} threads'
        if logged:
            return page.table(facts)
        reason = (
            'The log does not describe the environment of the training: these are the '
            'versions that made this report.'
        )
        return page.missing(reason) + page.table(facts)

    def _config(self) -> str:
        file = self.work_dir.config_file()
        text = file.read_text(errors='replace')
        return page.details(str(file.relative_to(self.work_dir.path)), text)
