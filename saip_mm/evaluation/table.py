"""Tables and a radar chart of a comparison."""

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..files import atomic_write
from .features import BASELINES
from .subject import RANDOM

ABSENT = '–'
UNTRAINED = (RANDOM, *BASELINES)  # names of rows
# Objectives of SAIP, which other rows lack, measures that are not scores, and errors of
# fine-tuned models, of which lower ones are better.
_NO_SCORES = ('search/', 'reconstruction/')
_MEASURES = ('/RankMe', '/spread', '/mMR', '/NME', '/EPE')
MIN_AXES = 3
INNER = -0.2  # radius of the center, so that the worst baseline is a visible polygon


def summarize(rows: Iterable[Path]) -> list[dict]:
    """Results so far of every row, a folder with one folder per seed.

    Returns:
        A dict per row: ``row``, ``n`` results ``of`` so many runs, the ``revisions`` of
        the code, and for ``images_seen``, ``flops``, ``minutes`` (None without values)
        and every probe in ``probes`` a dict of ``mean``, ``std`` (of the sample, hence
        None for one value), ``n`` and ``values``; for a probe also the ``seeds`` of
        these.

    Raises:
        ValueError: If a result is damaged.
    """
    return [_summary_of(row) for row in rows]


def _summary_of(row: Path) -> dict:
    seeds = sorted(row.glob('seed*'), key=lambda seed: (len(seed.name), seed.name))
    read = {seed: found for seed in seeds if (found := read_result(seed))}
    results, probes = list(read.values()), defaultdict(dict)  # scores by seed
    for seed, found in read.items():
        number = int(seed.name.removeprefix('seed'))
        for name, score in (found['probes'] | _fine_tuned(seed)).items():
            probes[name][number] = score
    return dict(
        row=row.name,
        n=len(results),
        of=len(seeds),
        revisions=sorted({str(each['environment']['revision']) for each in results}),
        images_seen=_statistics([each['images_seen'] for each in results]),
        # FLOPs of fine-tuning are not counted.
        flops=_statistics([each['flops'] for each in results if 'flops' in each]),
        minutes=_statistics([each['seconds'] / 60 for each in results]),
        probes={
            name: _statistics(list(scores.values())) | dict(seeds=list(scores))
            for name, scores in probes.items()
        },
    )


def _fine_tuned(folder: Path) -> dict[str, float]:
    """Scores of fine-tuning runs in the folder of a run, such as ``pose_10/PCK``."""
    return {
        f'{each.parent.name}/{metric.rpartition("/")[2]}': score
        for each in sorted(folder.glob('*/seed*'))
        if (result := read_result(each))
        for metric, score in result['probes'].items()
    }


def read_result(folder: Path) -> dict | None:
    """The result in the folder of a run, or None if there is none yet."""
    file = folder / 'result.json'
    try:
        return json.loads(file.read_text()) if file.exists() else None
    except ValueError as error:
        raise ValueError(
            f'{file} is not a result ({error}): delete it to probe again'
        ) from error


def _statistics(values: list[float]) -> dict | None:
    if not values:
        return None
    std = statistics.stdev(values) if len(values) > 1 else None
    return dict(mean=statistics.fmean(values), std=std, n=len(values), values=values)


def markdown(summary: list[dict]) -> str:
    """The summary as a Markdown table; missing values are dashes."""
    probes = list(dict.fromkeys(name for row in summary for name in row['probes']))
    costs = {'images seen': ('images_seen', ',.0f')}
    if any(row.get('flops') for row in summary):
        costs['FLOPs'] = 'flops', '.1e'
    costs['minutes'] = 'minutes', '.1f'
    header = ['row', 'n', *probes, *costs]
    lines = [header, ['---', *(['---:'] * (len(header) - 1))]]
    for row in summary:
        n = row['n'] if row['n'] == row['of'] else f'{row["n"]} of {row["of"]}'
        cells = [_cell(row['probes'].get(name), row['n']) for name in probes]
        for key, style in costs.values():
            cells.append(format(row[key]['mean'], style) if row.get(key) else ABSENT)
        lines.append([row['row'], str(n), *cells])
    table = '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)
    revisions = sorted({revision for row in summary for revision in row['revisions']})
    note = ''
    if len(revisions) > 1:
        note = f' Made with several revisions of the code: {", ".join(revisions)}.'
    return f'{table}\n\nMean ± standard deviation over n seeds.{note}\n'


def _cell(found: dict | None, n: int) -> str:
    if found is None:
        return ABSENT
    std = '' if found['std'] is None else f' ± {found["std"]:.3f}'
    fewer = f' (n={found["n"]})' if found['n'] < n else ''
    return f'{found["mean"]:.3f}{std}{fewer}'


class Scale(NamedTuple):
    """Scale of a probe: from ``zero`` to the best row."""

    zero: float
    best: float

    def __call__(self, score: float) -> float:
        return (score - self.zero) / (self.best - self.zero)


def scores_of(summary: list[dict]) -> dict[str, dict[str, float]]:
    """Mean scores by probe and row, of the probes that compare features."""
    scores = {}
    for row in summary:
        for name, found in row['probes'].items():
            if not name.startswith(_NO_SCORES) and not name.endswith(_MEASURES):
                scores.setdefault(name, {})[row['row']] = found['mean']
    return scores


def scales_of(summary: list[dict], pick: Callable = max) -> dict[str, Scale]:
    """Scale of each probe, from the best (``max``) or worst (``min``) untrained row to
    the best row. Probes in which no row exceeds that untrained row are left out."""
    scales = {}
    for name, rows in scores_of(summary).items():
        untrained = [rows[row] for row in UNTRAINED if row in rows]
        scale = Scale(pick(untrained or rows.values()), max(rows.values()))
        if scale.best - scale.zero > 1e-9:  # means of equal values may differ by 1e-17
            scales[name] = scale
    return scales


def composite_table(summary: list[dict]) -> str:
    """A Markdown table of each row's mean scaled score, and how often it leads."""
    scores, scales = scores_of(summary), scales_of(summary)
    if not scales:
        return ''
    lines = ['| row | composite | first or second |', '| --- | ---: | ---: |']
    for name in (row['row'] for row in summary):
        composite = ABSENT
        if all(name in scores[probe] for probe in scales):
            scaled = (scale(scores[probe][name]) for probe, scale in scales.items())
            composite = f'{statistics.fmean(scaled):.2f}'
        leading = sum(
            name in rows and sum(other > rows[name] for other in rows.values()) < 2
            for rows in scores.values()
        )
        lines.append(f'| {name} | {composite} | {leading} of {len(scores)} |')
    text = (
        f'Composite: mean over {len(scales)} probes of (score − zero) / (best − zero). '
        'Zero is the best row without training, best the best row.'
    )
    if beaten := sorted(scores.keys() - scales.keys()):
        text += f' Left out, because nothing exceeds zero: {", ".join(beaten)}.'
    return '\n'.join(lines) + f'\n\n{text}\n'


def write_radar(path: Path, summary: list[dict]) -> None:
    """Draw a closed line per row; one axis per probe.

    Raises:
        ValueError: If fewer than three probes differ between rows.
    """
    scales = scales_of(summary, min)
    if len(scales) < MIN_AXES:
        raise ValueError(
            f'a radar chart needs {MIN_AXES} probes, the results have {len(scales)}: '
            'give photographs to probe on'
        )
    figure = Figure(figsize=(10, 7), layout='constrained')
    axes = figure.add_subplot(projection='polar')
    axes.set_theta_offset(math.pi / 2)
    axes.set_theta_direction(-1)
    angles = [2 * math.pi * i / len(scales) for i in range(len(scales))]
    markers = iter('s^vDXP*')
    for row in summary:
        if row['n']:
            marker = next(markers) if row['row'] in UNTRAINED else None
            _draw_row(axes, angles, scales, row, marker)
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
    figure.legend(loc='outside right upper', frameon=False)
    figure.supxlabel(
        'Each axis from the worst baseline (inner ring) to the best row (rim); means '
        'over seeds',
        fontsize='small',
    )
    with atomic_write(path) as partial:
        figure.savefig(partial, format='png', dpi=120, bbox_inches='tight')


def _draw_row(
    axes: Axes,
    angles: list[float],
    scales: dict[str, Scale],
    row: dict,
    marker: str | None,
) -> None:
    """Draw a row; those without training are gray and dashed, with a marker."""
    probes = row['probes']
    radii = [
        max(INNER, scale(probes[name]['mean'])) if name in probes else math.nan
        for name, scale in scales.items()
    ]
    style = dict(marker='o', markersize=4, linewidth=2)
    if marker:
        style = dict(marker=marker, markersize=6, linewidth=1, ls='--', color='gray')
    closed = [*angles, angles[0]], [*radii, radii[0]]
    (line,) = axes.plot(*closed, label=row['row'], clip_on=False, **style)
    if not marker:
        axes.fill(angles, radii, color=line.get_color(), alpha=0.06)
