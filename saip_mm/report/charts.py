"""Training curves as inline SVG."""

import io
import math
import re
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from ..models.saip import WEIGHTED
from .work_dir import Series

MAX_POINTS = 400  # per curve
_INK = '#010203'  # replaced by the text color of the page
_INKED = 'text.color axes.edgecolor axes.labelcolor axes.titlecolor grid.color'
_STYLE = dict.fromkeys([*_INKED.split(), 'xtick.color', 'ytick.color'], _INK) | {
    'svg.fonttype': 'none',
    'font.size': 9,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'grid.alpha': 0.15,
    'legend.frameon': False,
    # Legible on white and on black.
    'axes.prop_cycle': matplotlib.cycler(
        color=['#3f8fe0', '#e0701a', '#2f9e57', '#a865d8'], linestyle=['-', '--'] * 2
    ),
}
# Title and unit of charts, and names of logged scalars by label.
_CSM, _CSR = 'Matching (CSM)', 'Reconstruction (CSR)'
_LOSSES = {
    ('Total loss', 'weighted sum'): dict(loss='loss'),
    (_CSM, 'nats'): {
        'loss': 'loss_csm',
        'entropy': 'teacher_entropy',
        'KL divergence': 'matching_kl',
    },
    ('Attention matching', 'KL divergence, nats'): dict(loss='loss_attn'),
    (_CSR, 'MSE, normalized patches'): dict(loss='loss_csr'),
    ('Search (CSS)', 'nats per token'): dict(
        person='loss_css_inst', part='loss_css_roi'
    ),
    ('Spread of image tokens', '0: all alike'): dict(deviation='feature_std'),
    ('Learning rate', 'as logged'): {'base_lr': 'base_lr', 'lr, first group': 'lr'},
}
# Measures with a chart of their own, and its unit if it differs.
_APART = {'gain': '', 'RankMe': 'effective rank'}


class Chart(NamedTuple):
    """Curves over optimizer steps by label, and constant reference levels."""

    title: str
    unit: str
    curves: Series
    levels: dict[str, float]

    def __str__(self) -> str:
        ends = [
            f'{label} {points[0][1]:.3g} at step {points[0][0]}, '
            f'{points[-1][1]:.3g} at step {points[-1][0]}'
            for label, points in self.curves.items()
        ]
        return f'{self.title} ({self.unit}): {"; ".join(ends)}'


def loss_charts(
    series: Series,
    prototypes: int | None = None,
    loss_weights: dict[str, float] | None = None,
) -> list[Chart]:
    """Charts of all logged losses.

    Args:
        series: Scalars of a work directory.
        prototypes: K of the matching head: ln K is the entropy of a uniform teacher.
        loss_weights: Factors of the model's losses; logged losses are divided by them.
    """
    for objective, weight in (loss_weights or {}).items():
        for name in WEIGHTED.get(objective, ()):
            if name in series and weight:
                points = [(step, value / weight) for step, value in series[name]]
                series = series | {name: points}
    levels = {_CSR: {'predicting zero': 1.0}}
    if prototypes:
        levels[_CSM] = {f'uniform: ln {prototypes}': math.log(prototypes)}
    known = {name for names in _LOSSES.values() for name in names.values()}
    others = {
        (name, 'as logged'): {name: name}
        for name in series
        if 'loss' in name and '/' not in name and name not in known
    }
    charts = []
    for (title, unit), names in (_LOSSES | others).items():
        curves = {label: series[key] for label, key in names.items() if key in series}
        if curves:
            charts.append(Chart(title, unit, curves, levels.get(title, {})))
    return charts


def probe_charts(series: Series) -> list[Chart]:
    """A chart per probe, of the scalars ``probe/PROBE/MEASURE`` and ``gradient/…``.

    Measures that are much smaller or larger than the others have a chart of their own.
    """
    charts: dict[tuple[str, str], Series] = {}
    for name, points in series.items():
        kind, _, rest = name.partition('/')
        probe, _, measure = rest.partition('/')
        if kind == 'gradient':
            title, label = ('Gradients on shared parameters', 'norm'), rest
            if rest.startswith('cos_'):
                title, label = ('Gradients: cosines', 'cosine'), rest[4:]
        elif kind == 'probe':
            unit = 'loss' if 'reconstruction' in probe else 'from 0 to 1'
            title, label = (probe, unit), measure.replace('_stranger', ', stranger')
            if measure in _APART:
                title = f'{probe}: {measure}', _APART[measure] or unit
        else:
            continue
        charts.setdefault(title, {})[label or probe] = points
    return [Chart(*title, curves, {}) for title, curves in charts.items()]


def plot(chart: Chart, images_per_step: int | None = None) -> Figure:
    """Draw a chart; long curves become means of neighboring points."""
    figure = Figure(figsize=(4.2, 2.8), layout='constrained')
    axes = figure.subplots()
    axes.set_title(chart.title, loc='left', weight='bold')
    axes.set_title(chart.unit, loc='right', size='small')
    for label, points in chart.curves.items():
        groups = np.array_split(points, min(len(points), MAX_POINTS))
        steps = [group[-1, 0] for group in groups]
        values = [group[:, 1].mean() for group in groups]
        marker = 'o' if len(points) <= 30 else None
        ends = dict.fromkeys(f'{points[i][1]:.3g}' for i in (0, -1))
        label = f'{label} {" → ".join(ends)}'
        axes.plot(steps, values, label=label, marker=marker, ms=3)
    for label, level in chart.levels.items():
        axes.axhline(level, color=_INK, linestyle=':', linewidth=1, label=label)
    images = f' of {images_per_step:,} images' if images_per_step else ''
    axes.set_xlabel(f'optimizer steps{images}')
    figure.legend(loc='outside lower center', ncols=2, fontsize='small')
    return figure


def draw(chart: Chart, images_per_step: int | None = None) -> str:
    """The chart as an ``<svg>`` element in the text color of the page."""
    file = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        plot(chart, images_per_step).savefig(file, format='svg', transparent=True)
    svg = re.sub('<metadata>.*?</metadata>', '', file.getvalue(), flags=re.DOTALL)
    # Several charts on a page share these ids of parts; nothing refers to them.
    svg = re.sub(r' id="\w+_\d+"| (?:width|height)="[\d.]+pt"', '', svg)
    return svg[svg.index('<svg') :].replace(_INK, 'currentColor')
