"""Radar chart of a comparison."""

import math
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .composite import Scale, scores_of
from .features import BASELINES
from .subject import RANDOM

MIN_AXES = 3
INNER = -0.2  # radius of the center, so that the worst baseline is a visible polygon


def radar_scales(summary: list[dict]) -> dict[str, Scale]:
    """Scale of each probe, from the worst baseline or random row to the best row."""
    scales = {}
    for name, rows in scores_of(summary).items():
        low = [rows[row] for row in (*BASELINES, RANDOM) if row in rows]
        zero, best = min(low or rows.values()), max(rows.values())
        if best > zero:
            scales[name] = Scale(zero, best)
    return scales


def write_radar(path: Path, summary: list[dict]) -> None:
    """Draw a closed line per row; one axis per probe.

    Raises:
        ValueError: If fewer than three probes differ between rows.
    """
    scales = radar_scales(summary)
    if len(scales) < MIN_AXES:
        raise ValueError(
            f'a radar chart needs {MIN_AXES} probes, the results have {len(scales)}: '
            'give photographs to probe on'
        )
    figure = Figure(figsize=(10, 7), layout='constrained')
    axes = figure.add_subplot(projection='polar')
    axes.set_theta_offset(math.pi / 2)
    axes.set_theta_direction(-1)
    _draw_rows(axes, scales, summary)
    _label(axes, scales)
    figure.legend(loc='outside right upper', frameon=False)
    figure.supxlabel(
        'Each axis from the worst baseline (inner ring) to the best row (rim); means '
        'over seeds',
        fontsize='small',
    )
    figure.savefig(path, dpi=120, bbox_inches='tight')


def _angles(scales: dict[str, Scale]) -> list[float]:
    return [2 * math.pi * i / len(scales) for i in range(len(scales))]


def _draw_rows(axes: Axes, scales: dict[str, Scale], summary: list[dict]) -> None:
    angles, gray = _angles(scales), iter('s^vDXP*')
    for row in summary:
        if not row['n']:
            continue
        found = [row['probes'].get(name) for name in scales]
        radii = [
            max(INNER, scale(each['mean'])) if each else math.nan
            for scale, each in zip(scales.values(), found, strict=True)
        ]
        trained = row['row'] not in (RANDOM, *BASELINES)
        (line,) = axes.plot(
            [*angles, angles[0]],
            [*radii, radii[0]],
            label=row['row'],
            marker='o' if trained else next(gray),
            markersize=4 if trained else 6,
            clip_on=False,
            linewidth=2 if trained else 1,
            linestyle='-' if trained else '--',
            color=None if trained else 'gray',
        )
        if trained:
            axes.fill(angles, radii, color=line.get_color(), alpha=0.06)


def _label(axes: Axes, scales: dict[str, Scale]) -> None:
    angles = _angles(scales)
    axes.set_ylim(INNER, 1)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], labels=[])
    labels = [f'{n}\n{s.zero:.3f} – {s.best:.3f}' for n, s in scales.items()]
    axes.set_xticks(angles, labels=labels)
    axes.tick_params(axis='x', pad=10)
    for angle, label in zip(angles, axes.get_xticklabels(), strict=True):
        side = round(math.sin(angle), 1)
        label.set_horizontalalignment(
            'left' if side > 0 else 'right' if side < 0 else 'center'
        )
