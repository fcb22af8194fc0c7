"""One number per row of a comparison."""

import statistics
from typing import NamedTuple

from .features import BASELINES
from .subject import RANDOM

# Objectives of SAIP, which other rows lack, and measures that are no scores.
_NO_SCORES = ('search/', 'reconstruction/')
_MEASURES = ('/RankMe', '/spread')


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


def scales_of(summary: list[dict]) -> dict[str, Scale | None]:
    """The scale of each probe: zero is the best baseline without a network.

    Where no baseline has a score, random weights take its place. None if nothing
    exceeds it, or there is neither.
    """
    scales = {}
    for name, rows in scores_of(summary).items():
        baselines = [rows[row] for row in BASELINES if row in rows]
        zero = max(baselines, default=rows.get(RANDOM))
        best = max(rows.values())
        scales[name] = None if zero is None or zero >= best else Scale(zero, best)
    return scales


def composite(row: dict, scales: dict[str, Scale]) -> list[float]:
    """Mean of the scaled scores of a row for each of its seeds; empty if some lack."""
    found = [row['probes'].get(name) for name in scales]
    if not found or not all(found) or len({each['n'] for each in found}) > 1:
        return []
    scaled = [
        [scale(value) for value in each['values']]
        for scale, each in zip(scales.values(), found, strict=True)
    ]
    return [statistics.fmean(values) for values in zip(*scaled, strict=True)]


def places(summary: list[dict]) -> dict[str, int]:
    """Number of probes on which a row is first or second."""
    counts = dict.fromkeys((row['row'] for row in summary), 0)
    for rows in scores_of(summary).values():
        for row, score in rows.items():
            counts[row] += sum(other > score for other in rows.values()) < 2
    return counts


def composite_table(summary: list[dict]) -> str:
    """The composite and the places of all rows as a Markdown table."""
    scales = scales_of(summary)
    used = {name: scale for name, scale in scales.items() if scale}
    if not used:
        return ''
    lines = ['| row | composite | first or second |', '| --- | ---: | ---: |']
    counts = places(summary)
    for row in summary:
        values = composite(row, used)
        cell = f'{statistics.fmean(values):.2f}' if values else '–'
        if len(values) > 1:
            cell += f' ± {statistics.stdev(values):.2f}'
        lines.append(
            f'| {row["row"]} | {cell} | {counts[row["row"]]} of {len(scales)} |'
        )
    table = '\n'.join(lines)
    text = (
        f'Composite: mean over {len(used)} probes of (score − zero) / (best − zero). '
        'Zero is the best baseline without a network (random weights where none has a '
        'score), best the best row.'
    )
    if beaten := sorted(scales.keys() - used.keys()):
        text += f' Left out, because nothing exceeds zero: {", ".join(beaten)}.'
    return f'{table}\n\n{text}\n'
