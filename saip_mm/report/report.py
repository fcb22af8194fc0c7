"""HTML report of a training run: curves, and what the model has learned."""

import base64
import io
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cached_property, reduce
from operator import getitem
from pathlib import Path

import jinja2
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image
from rich.progress import track

from ..data.folders import find_images
from ..evaluation.subject import RANDOM, Subject, load_subject
from ..files import atomic_write, check_writable, write_text
from ..models import SAIP
from ..training.config import load_config
from .charts import Chart, draw, loss_charts, probe_charts
from .people import Gallery, People
from .pictures import draw_row, stack, view_row
from .visualizations import (
    show_attention,
    show_neighbors,
    show_reconstruction,
    show_search,
)
from .work_dir import Unavailable, WorkDir

NUM_SAMPLES = 6
PACKAGED_MODEL = 'saip-small'
DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'


class Report:
    """A report of a work directory.

    Args:
        path: Work directory.
        images: Folder of images to show instead of the config's data.
        config: Config of the training; this file is executed. By default the one in
            the work directory, which is parsed as data.

    Attributes:
        gaps: Messages about what could not be shown, once the page has been made.

    Raises:
        OSError: If ``path`` is not a work directory.
        ValueError: If ``config`` cannot be used.
    """

    def __init__(
        self, path: str | Path, images: str | None = None, config: str | None = None
    ) -> None:
        self.work_dir, self.images = WorkDir(path), images
        self.gaps: list[str] = []
        init_default_scope('mmpretrain')
        if config:
            self.config = load_config(config)

    @cached_property
    def config(self) -> Config:
        return self.work_dir.config()

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
        if (model := self.latest[0].model) is None:
            raise Unavailable('Only training runs of SAIP have this.')
        return model

    def write(self, out: str | Path | None = None) -> Path:
        """Write the page, by default to ``report.html`` in the work directory.

        Raises:
            OSError: If it cannot be written, or no image of ``images`` can be read.
        """
        out = Path(out) if out else self.work_dir.path / 'report.html'
        check_writable(out)
        write_text(out, self.html())
        return out

    def write_overview(self, path: str | Path) -> None:
        """Write an image of views, a reconstruction and a search, as PNG or WebP.

        Raises:
            Unavailable: If there is no checkpoint, or the model lacks a head.
        """
        model, samples = self.model, self.samples[:2]
        _, views = view_row(samples[0])
        (_, (reconstruction,)), *_ = show_reconstruction(model, samples)
        ((_, (search, *_)),) = show_search(model, samples)
        found = search[2]._replace(caption='found place')
        rows = [draw_row(views), draw_row([*reconstruction[-3:], *search[:2], found])]
        with atomic_write(path) as partial:
            stack(rows).save(partial, Path(path).suffix[1:].upper())

    def html(self) -> str:
        """The page."""
        if self.images is not None:
            find_images(self.images)
            with suppress(Unavailable):  # without a config, as reported by the sections
                self.samples, self.gallery  # noqa: B018
        makers = {
            'Losses': self._losses,
            'Probes': lambda: self._charts(
                probe_charts(self.work_dir.series()),
                ': set default_hooks.probe.type=ProbeHook',
            ),
            'Training samples': self._views,
            'Reconstruction': lambda: dict(
                groups=show_reconstruction(self.model, self.samples)
            ),
            'Search': lambda: dict(groups=show_search(self.model, self.samples)),
            'Attention': lambda: dict(groups=show_attention(self.model, self.gallery)),
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
        """Charts, groups of rows of pictures, texts, and a note."""
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
                reasons = '; '.join(bad[:3])
                self.gaps.append(f'{len(bad)} unreadable image(s): {reasons}')
                notes.append(f'Skipped: {self.gaps[-1]}.')
        lengths = (self._setting('train_cfg', x) for x in ('max_epochs', 'max_iters'))
        done = self.work_dir.progress(*lengths)
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
        with suppress(Unavailable, KeyError, TypeError):
            return reduce(getitem, keys, self.config)
        return None

    def _images_per_step(self) -> int | None:
        batch = self._setting('train_dataloader', 'batch_size')
        return batch and batch * self.work_dir.processes()

    def _losses(self) -> dict:
        prototypes = self._setting('model', 'matching', 'out_channels')
        weights = self._setting('model', 'loss_weights')
        return self._charts(loss_charts(self.work_dir.series(), prototypes, weights))

    def _charts(self, charts: list[Chart], remedy: str = '') -> dict:
        if not charts:
            raise Unavailable(f'Nothing has been logged{remedy}.')
        images = self._images_per_step()
        return dict(charts={str(chart): draw(chart, images) for chart in charts})

    def _views(self) -> dict:
        rows = map(view_row, self.samples[:3])
        return dict(groups=[(title, [row]) for title, row in rows])

    def _neighbors(self) -> dict:
        source = self.work_dir.start() or RANDOM
        config = self.config if source == RANDOM else None
        packaged = f'For comparison, the packaged {PACKAGED_MODEL}'
        subjects = {
            f'Before, {source} weights': load_subject(source, config, DEVICE),
            'Now': self.latest[0],
            packaged: load_subject(PACKAGED_MODEL, device=DEVICE),
        }
        images = self.gallery.images.permute(0, 2, 3, 1).numpy()
        tokens = {name: each.embed(images).image for name, each in subjects.items()}
        groups, note = show_neighbors(tokens, self.gallery)
        return dict(groups=groups, note=note)

    def _config(self) -> dict:
        file = self.work_dir.config_file()
        return dict(details={file.name: file.read_text(errors='replace')})


def _data_uri(image: Image.Image) -> str:
    """Encode an image as WebP in a data URI."""
    buffer = io.BytesIO()
    image.save(buffer, 'WEBP', quality=85)
    return f'data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}'
