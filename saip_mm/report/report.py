"""HTML report of a training: curves, and what the model has learned."""

import base64
import io
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

import jinja2
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image
from rich.progress import track

from ..data.folders import find_images
from ..evaluation.subject import RANDOM, Subject, load_subject
from ..files import check_writable, write_text
from ..models import SAIP
from ..training.config import load_config
from . import pictures
from .charts import Chart, draw, loss_charts, probe_charts
from .people import Gallery, People
from .work_dir import Unavailable, WorkDir

NUM_SAMPLES = 6
PACKAGED_MODEL = 'saip-small'
DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'


def write_report(
    path: str | Path,
    out: str | Path | None = None,
    images: str | None = None,
    config: str | Path | None = None,
) -> tuple[Path, list[str]]:
    """Write the report of a work directory.

    Args:
        path: Work directory.
        out: HTML file to write; ``report.html`` in the work directory by default.
        images: Folder of images to show instead of the config's data.
        config: Config of the training; this file is executed. By default the one in
            the work directory, which is parsed as data.

    Returns:
        The file, and messages about what could not be shown.

    Raises:
        OSError: If ``path`` is not a work directory, ``out`` cannot be written, or no
            image of ``images`` can be read.
        ValueError: If ``config`` cannot be used.
    """
    out = Path(out) if out else Path(path) / 'report.html'
    work_dir = WorkDir(path)
    check_writable(out)
    report = Report(work_dir, images, load_config(str(config), {}) if config else None)
    write_text(out, report.html())
    return out, report.gaps


class Report:
    """The content of the page; see :func:`write_report` for the arguments.

    Attributes:
        gaps: Messages about what could not be shown, after the page is made.
    """

    def __init__(
        self, work_dir: WorkDir, images: str | None, config: Config | None
    ) -> None:
        self.work_dir, self.images, self.named_config = work_dir, images, config
        self.gaps: list[str] = []
        init_default_scope('mmpretrain')

    @cached_property
    def config(self) -> Config:
        return self.named_config or self.work_dir.config()

    @cached_property
    def people(self) -> People:
        return People(self.config, self.images)

    @cached_property
    def samples(self) -> list[dict]:
        return self.people.samples(NUM_SAMPLES)

    @cached_property
    def gallery(self) -> Gallery:
        return self.people.gallery()

    @cached_property
    def latest(self) -> tuple[Subject, str]:
        """The model of the newest readable checkpoint, and a note about it."""
        problems = []
        for file in self.work_dir.checkpoints:
            try:
                subject = load_subject(str(file), self.config, DEVICE)
            except (OSError, ValueError) as error:
                problems.append(f'{file.name} was skipped: {error}.')
                continue
            return subject, ' '.join([f'Weights of {file.name}.', *problems])
        raise Unavailable(' '.join(problems) or 'There is no checkpoint yet.')

    @property
    def model(self) -> SAIP:
        return self.latest[0].model

    def html(self) -> str:
        """The page.

        Raises:
            OSError: If no image of the given folder can be read.
        """
        if self.images is not None:
            find_images(self.images)
            with suppress(Unavailable):  # without a config, as reported by the sections
                self.samples, self.gallery  # noqa: B018
        makers = {
            'Losses': self._losses,
            'Probes': lambda: self._charts(probe_charts(self.work_dir.series())),
            'Training samples': lambda: pictures.show_views(self.samples[:3]),
            'Reconstruction': lambda: pictures.show_reconstruction(
                self.model, self.samples
            ),
            'Search': lambda: pictures.show_search(self.model, self.samples),
            'Attention': lambda: pictures.show_attention(self.model, self.gallery),
            'Nearest neighbors': self._neighbors,
            'Config': self._config,
        }
        sections = {
            title: self._section(title, make)
            for title, make in track(makers.items(), 'Sections', transient=True)
        }
        page = jinja2.Environment(
            loader=jinja2.PackageLoader(__package__, ''),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
        ).get_template('page.html.jinja')
        html = page.render(self._head(), sections=sections, data_uri=_data_uri)
        # File names may contain undecodable bytes, kept as lone surrogates.
        return html.encode(errors='replace').decode()

    def _section(self, title: str, make: Callable[[], dict]) -> dict:
        """Input of the template: ``note``, ``charts``, ``groups``, ``details``."""
        section = dict(note='', charts={}, groups=[], details={})
        try:
            return section | make()
        except Exception as error:  # the other sections are still shown
            known = isinstance(error, Unavailable)
            reason = str(error) if known else f'{type(error).__name__}: {error}'
            self.gaps.append(f'{title}: {reason}')
            return section | dict(note=reason)

    def _head(self) -> dict:
        notes = []
        with suppress(Exception):  # reported by the sections
            notes.append(self.latest[1])
        with suppress(Exception):
            notes.append(self.people.note)
            if bad := self.people.bad:
                reasons = '; '.join([*bad.values()][:3])
                self.gaps.append(f'{len(bad)} unreadable image(s): {reasons}')
                notes.append(f'Skipped: {self.gaps[-1]}.')
        done = self.work_dir.progress(self._setting('train_cfg', 'max_epochs'))
        return dict(
            name=self.work_dir.name,
            done=done,
            took=timedelta(seconds=round(done.seconds)),
            runs=len(self.work_dir.runs),
            images_per_step=self._images_per_step(),
            now=datetime.now(),
            notes=notes,
        )

    def _setting(self, *keys: str) -> int | None:
        """A number of the config; None if unknown."""
        try:
            value = self.config
            for key in keys:
                value = value[key]
        except (Unavailable, KeyError, TypeError):
            return None
        return value

    def _images_per_step(self) -> int | None:
        batch = self._setting('train_dataloader', 'batch_size')
        return batch and batch * self.work_dir.processes()

    def _losses(self) -> dict:
        prototypes = self._setting('model', 'matching', 'out_channels')
        return self._charts(loss_charts(self.work_dir.series(), prototypes))

    def _charts(self, charts: list[Chart]) -> dict:
        if not charts:
            raise Unavailable('Nothing has been logged.')
        images = self._images_per_step()
        return dict(charts={str(chart): draw(chart, images) for chart in charts})

    def _neighbors(self) -> dict:
        before = load_subject(RANDOM, self.config, DEVICE)
        subjects = {'Before, random weights': before, 'Now': self.latest[0]}
        longer = load_subject(PACKAGED_MODEL, None, DEVICE)
        subjects[f'For comparison, the packaged {PACKAGED_MODEL}'] = longer
        images = self.gallery.images.permute(0, 2, 3, 1).numpy()
        tokens = {name: each.embed(images).image for name, each in subjects.items()}
        return pictures.show_neighbors(tokens, self.gallery)

    def _config(self) -> dict:
        file = self.work_dir.config_file()
        return dict(details={file.name: file.read_text(errors='replace')})


def _data_uri(image: Image.Image) -> str:
    """Encode an image as WebP in a data URI."""
    buffer = io.BytesIO()
    image.save(buffer, 'WEBP', quality=85)
    return f'data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}'
