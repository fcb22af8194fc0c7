"""Curves over the training as small SVG pictures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from .work_dir import Series

Points = Sequence[tuple[int, float]]

WIDTH, HEIGHT = 400, 250  # units of the picture, which is as wide as its column
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 46, 52  # margins
MOST_POINTS = 400


@dataclass(frozen=True)
class Chart:
    """What one picture shows.

    Attributes:
        title: Its heading.
        unit: Of the vertical axis.
        curves: Points (step, value) by label.
        levels: Values to compare with, by label.
    """

    title: str
    unit: str
    curves: dict[str, Points]
    levels: dict[str, float] = field(default_factory=dict)


def loss_charts(series: Series, prototypes: int | None = None) -> list[Chart]:
    """Charts of the losses there are, and of what goes with them.

    Args:
        series: Scalars of a work directory.
        prototypes: Outputs of the matching head, whose logarithm is the entropy of a
            teacher that prefers nothing.
    """
    uniform = {f'uniform: ln {prototypes}': math.log(prototypes)} if prototypes else {}
    plan = [
        ('Sum of all losses', 'sum', dict(loss='loss'), {}),
        (
            'Matching (CSM)',
            'nats',
            {'cross entropy': 'loss_csm', "teacher's entropy": 'teacher_entropy'},
            uniform,
        ),
        ('Matching of attention', 'KL divergence, nats', dict(loss='loss_attn'), {}),
        (
            'Reconstruction (CSR)',
            'mean squared error, normalised patches',
            dict(loss='loss_csr'),
            {'predicting zero': 1.0},
        ),
        (
            'Search (CSS)',
            'cross entropy, nats per token',
            {'whole person': 'loss_css_inst', 'part of it': 'loss_css_roi'},
            {},
        ),
        (
            "Spread of the teacher's tokens",
            '0: all images alike',
            {'standard deviation': 'feature_std'},
            {},
        ),
        ('Learning rate', 'first parameter group', dict(lr='lr'), {}),
    ]
    named = {name for _, _, names, _ in plan for name in names.values()}
    others = [name for name in series if 'loss' in name and '/' not in name]
    plan += [
        (name, 'as logged', {name: name}, {}) for name in others if name not in named
    ]
    charts = []
    for title, unit, names, levels in plan:
        curves = {
            label: series[name] for label, name in names.items() if series.get(name)
        }
        if curves:
            charts.append(Chart(title, unit, curves, levels))
    return charts


def probe_charts(series: Series) -> list[Chart]:
    """A chart for every probe, of the scalars ``probe/PROBE/MEASURE``.

    Gains are small beside the two scores that they are the difference of, and have a
    chart of their own.
    """
    probes: dict[str, dict[str, Points]] = {}
    for name, points in series.items():
        if name.startswith('probe/') and points:
            probe, _, measure = name.removeprefix('probe/').partition('/')
            title = f'{probe}: gain' if measure == 'gain' else probe
            label = measure.replace('_stranger', ', stranger') or probe
            probes.setdefault(title, {})[label] = points
    return [
        Chart(probe, 'loss' if 'reconstruction' in probe else 'share of 1', curves)
        for probe, curves in probes.items()
    ]


def thin(points: Points, limit: int = MOST_POINTS) -> Points:
    """Means of so many neighbouring points each that at most ``limit`` are left."""
    size = -(-len(points) // limit)
    if size <= 1:
        return points
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(g[-1][0], sum(value for _, value in g) / len(g)) for g in groups]


def draw(chart: Chart, images_per_step: int | None = None) -> str:
    """The chart as an ``<svg>`` element that takes its colours from the page."""
    curves = {label: thin(points) for label, points in chart.curves.items()}
    values = [value for points in curves.values() for _, value in points]
    values += chart.levels.values()
    y_ticks = ticks(min(values), max(values), 5)
    last = max(points[-1][0] for points in curves.values())
    x_ticks = ticks(0, max(last, 5), 5)
    scale = _Scale(x_ticks, y_ticks)
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(describe(chart))}">',
        f'<text class="name" x="8" y="18">{escape(chart.title)}</text>',
        f'<text class="unit" x="{WIDTH - 8}" y="18">{escape(chart.unit)}</text>',
        *_axes(scale, images_per_step),
    ]
    for label, level in chart.levels.items():
        y = scale.y(level)
        beside = y - 4 if y > TOP + 15 else y + 12  # clear of the legend
        parts.append(
            f'<path class="level" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
            f'<text class="unit" x="{WIDTH - RIGHT - 2}" y="{beside:.1f}">'
            f'{escape(label)}</text>'
        )
    legend = LEFT
    for i, (label, points) in enumerate(curves.items()):
        text = f'{label} {_number(chart.curves[label][-1][1])}'
        parts += _curve(points, scale, f'c{i % 4}', label)
        parts.append(
            f'<path class="c{i % 4}" d="M{legend} 34h18"/>'
            f'<text class="legend" x="{legend + 22}" y="38">{escape(text)}</text>'
        )
        legend += 34 + 6.4 * len(text)
    return ''.join([*parts, '</svg>'])


def describe(chart: Chart) -> str:
    """The chart in words: first and last values of its curves."""
    parts = []
    for label, points in chart.curves.items():
        (first, before), (last, now) = points[0], points[-1]
        parts.append(
            f'{label} {_number(before)} at step {first}, {_number(now)} at step {last}'
        )
    return f'{chart.title} ({chart.unit}): {"; ".join(parts)}'


def ticks(low: float, high: float, count: int) -> list[float]:
    """About ``count`` round numbers that enclose ``low`` and ``high``."""
    if high - low < 1e-12 * max(abs(low), abs(high), 1e-12):
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    rough = (high - low) / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(f * power for f in (1, 2, 2.5, 5, 10) if f * power >= rough * 0.999)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [float(f'{i * step:.12g}') for i in range(first, last + 1)]


class _Scale:
    """From steps and values to the picture's units."""

    def __init__(self, x_ticks: list[float], y_ticks: list[float]) -> None:
        self.x_ticks, self.y_ticks = x_ticks, y_ticks

    def x(self, step: float) -> float:
        low, high = self.x_ticks[0], self.x_ticks[-1]
        return LEFT + (step - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        low, high = self.y_ticks[0], self.y_ticks[-1]
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)


def _axes(scale: _Scale, images_per_step: int | None) -> list[str]:
    bottom, parts = HEIGHT - BOTTOM, []
    for value in scale.y_ticks:
        y = scale.y(value)
        parts.append(
            f'<path class="rule" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
            f'<text class="y" x="{LEFT - 6}" y="{y + 4:.1f}">{_number(value)}</text>'
        )
    for step in scale.x_ticks:
        x = scale.x(step)
        parts.append(f'<text class="x" x="{x:.1f}" y="{bottom + 15}">{step:g}</text>')
        if images_per_step:
            seen = _number(step * images_per_step)
            parts.append(
                f'<text class="x pale" x="{x:.1f}" y="{bottom + 29}">{seen}</text>'
            )
    what = 'optimizer steps' + (' / images seen below' if images_per_step else '')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="x" x="{middle}" y="{HEIGHT - 7}">{what}</text>')
    return parts


def _curve(points: Points, scale: _Scale, colour: str, label: str) -> list[str]:
    places = [(scale.x(step), scale.y(value)) for step, value in points]
    line = 'L'.join(f'{x:.1f} {y:.1f}' for x, y in places)
    name = escape(label)
    parts = [f'<path class="{colour}" d="M{line}"><title>{name}</title></path>']
    if len(points) <= 30:
        parts += [
            f'<circle class="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="2.5">'
            f'<title>{name}: {value:g} at step {step}</title></circle>'
            for (x, y), (step, value) in zip(places, points, strict=True)
        ]
    return parts


def _number(value: float) -> str:
    """Short and readable: 12.3k, 4M, 0.0012, 3e-05."""
    for size, letter in ((1e9, 'G'), (1e6, 'M'), (1e3, 'k')):
        if abs(value) >= size:
            return f'{value / size:.4g}{letter}'
    return f'{value:.3g}'
