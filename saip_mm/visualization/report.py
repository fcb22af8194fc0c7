"""A page about a work directory: what was trained, and what came of it."""

import datetime
import platform
from collections.abc import Callable
from functools import cache
from html import escape
from pathlib import Path

import mmengine
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from rich.progress import track

from .. import __version__
from ..files import write_text
from ..models import SAIP
from . import curves, page, sections
from .model import latest, untrained
from .people import People
from .work_dir import Progress, Unavailable, WorkDir

NUM_SAMPLES = 6
WORDS = dict(
    finished='Finished',
    running='Running',
    crashed='Stopped by an error',
    interrupted='Interrupted',
)


def write_report(
    path: str | Path, out: str | Path | None = None, images: str | None = None
) -> tuple[Path, list[str]]:
    """Write the report of a work directory; the file appears only once it is whole.

    Args:
        path: Work directory.
        out: HTML file to write; by default ``report.html`` in the work directory.
        images: Folder of people to show instead of the config's.

    Returns:
        The file, and sentences about what could not be shown.

    Raises:
        FileNotFoundError: If ``path`` is no work directory.
    """
    report = Report(WorkDir(path), images)
    html = report.html()
    out = Path(out) if out else Path(path) / 'report.html'
    write_text(out, html)
    return out, report.gaps


class Report:
    """Everything that a page about a work directory shows.

    Args:
        work_dir: Its logs, config and checkpoints.
        images: Folder of people to show; None for those of the config.

    Attributes:
        gaps: Sentences about what could not be shown, once the page is made.
    """

    def __init__(self, work_dir: WorkDir, images: str | None = None) -> None:
        self.work_dir, self.images = work_dir, images
        self.gaps: list[str] = []
        self.people = cache(lambda: People(self.config(), self.images))
        self.samples = cache(lambda: self.people().samples(NUM_SAMPLES))
        self.gallery = cache(lambda: self.people().gallery())
        self.latest = cache(lambda: latest(work_dir))
        init_default_scope('mmpretrain')

    @cache  # noqa: B019  (a report is made once)
    def config(self) -> Config:
        return self.work_dir.config()

    def model(self) -> SAIP:
        return self.latest()[0].model

    def html(self) -> str:
        """The page."""
        series = self.work_dir.series()
        parts = [
            ('Losses', LOSSES, lambda: self._charts(series, 'loss')),
            ('Probes', PROBES, lambda: self._charts(series, 'probe')),
            (
                'Training samples',
                VIEWS,
                lambda: sections.show_views(self.samples()[:3]),
            ),
            (
                'Reconstruction',
                RECONSTRUCTION,
                lambda: sections.show_reconstruction(self.model(), self.samples()),
            ),
            (
                'Search',
                SEARCH,
                lambda: sections.show_search(self.model(), self.samples()),
            ),
            (
                'Attention',
                ATTENTION,
                lambda: sections.show_attention(self.model(), self.gallery()),
            ),
            ('Nearest neighbours', NEIGHBOURS, self._neighbours),
            ('Environment', ENVIRONMENT, self._environment),
            ('Config', CONFIG, self._config),
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
        except Exception as error:  # whatever ails a part, the others are wanted
            body = self._gap(title, f'{type(error).__name__}: {error}')
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
        before = untrained(self.work_dir)
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


LOSSES = (
    'Means of the last ten steps, as training logs them. Where a run was resumed, its '
    'values replace those of the steps that it repeated.'
)
PROBES = (
    'What frozen features of the teacher are good for, on held-out people. Higher is '
    'better, but for the losses of reconstruction. Stranger: with the query or anchor '
    'of another person; gain: by how much the right person is better.'
)
VIEWS = (
    'What the model is shown: the source with the boxes of the anchor (green) and of '
    'roi (red), all views, and a scene into which both are pasted, with the tokens '
    'that count as theirs.'
)
RECONSTRUCTION = (
    'Most patches of a person are removed (grey) and predicted from the rest and the '
    'anchor view. The head predicts patches of mean 0 and variance 1; mean and '
    'deviation of each true patch are lent to its prediction, so colour and contrast '
    'of a patch are given, what is drawn in it is not. Visible patches are the true '
    'ones.'
)
SEARCH = (
    'A person is pasted into a scene, its true place outlined. The head is asked where '
    'the query is: bright is where it believes so, with one scale of colours for both '
    'maps of a row; below are its mean probabilities in and out of the place. '
    'For a stranger, who is not in the scene, nothing should light up. The scene holds '
    'a second, partial crop of the same person, which is not asked for here.'
)
ATTENTION = (
    'Attention of the class token over the patches in the last block of the teacher: '
    'mean of the heads and each head. Every map goes from its lowest share (dark) to '
    'its highest (bright), given below it.'
)
NEIGHBOURS = (
    'A query and the images whose image tokens of the teacher are most like its own, '
    'the nearest first, with random weights and now. Where identities are known, a '
    'green frame is the same person, a dashed red one somebody else; as in '
    're-identification, images of that person by the same camera are left out.'
)
ENVIRONMENT = 'Where the training ran, as its log says, and where this page was made.'
CONFIG = 'All settings of the training, as it wrote them down.'
