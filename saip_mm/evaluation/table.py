"""The table of a comparison: mean ± standard deviation over seeds."""

import statistics
from collections.abc import Iterable

from .rows import Row

# First columns; other probes follow by name.
PROBES = (
    'reid/mAP',
    'reid/rank1',
    'attributes/mA',
    'parts/mIoU',
    'keypoints/PCK',
    'search/IoU',
    'search/IoU_stranger',
    'search/gain',
    'reconstruction/loss',
    'reconstruction/loss_stranger',
    'reconstruction/gain',
)
ABSENT = '–'


def summarize(rows: Iterable[Row], seeds: list[int]) -> list[dict]:
    """Results of every row so far.

    Args:
        rows: In the order of the table.
        seeds: Requested seeds; others that have a folder are included.

    Returns:
        A dict per row: ``row``, ``n`` results ``of`` so many runs, and for
        ``images_seen``, ``flops``, ``minutes`` and every probe in ``probes`` a dict of
        ``mean``, ``std`` (of the sample, hence None for one value), ``n`` and
        ``values``.
    """
    summary = []
    for row in rows:
        runs = row.runs(sorted({*seeds, *row.saved_seeds()}))
        results = [result for run in runs if (result := run.result())]
        names = {name for result in results for name in result['probes']}
        probes = {
            name: _statistics(r['probes'][name] for r in results if name in r['probes'])
            for name in sorted(names, key=_order)
        }
        summary.append(
            dict(
                row=row.name,
                n=len(results),
                of=len(runs),
                revisions=sorted({str(r['environment']['revision']) for r in results}),
                images_seen=_statistics(r['images_seen'] for r in results),
                # Results of older versions have no FLOPs.
                flops=_statistics(r['flops'] for r in results if 'flops' in r),
                minutes=_statistics(r['seconds'] / 60 for r in results),
                probes=probes,
            )
        )
    return summary


def _statistics(values: Iterable[float]) -> dict | None:
    """Mean and standard deviation (n - 1 in the denominator) of some values."""
    values = list(values)
    if not values:
        return None
    std = statistics.stdev(values) if len(values) > 1 else None
    return dict(mean=statistics.fmean(values), std=std, n=len(values), values=values)


def markdown(summary: list[dict]) -> str:
    """The summary as a Markdown table; missing values are dashes."""
    probes = sorted({name for row in summary for name in row['probes']}, key=_order)
    counted = any(row.get('flops') for row in summary)
    costs = ['images seen', *(['FLOPs'] if counted else []), 'minutes']
    header = ['row', 'n', *probes, *costs]
    lines = [header, ['---', *(['---:'] * (len(header) - 1))]]
    for row in summary:
        n = row['n']
        cells = [_cell(row['probes'].get(name), n) for name in probes]
        cells.append(f'{row["images_seen"]["mean"]:,.0f}' if n else ABSENT)
        if counted:
            flops = row.get('flops')
            cells.append(f'{flops["mean"]:.1e}' if flops else ABSENT)
        cells.append(f'{row["minutes"]["mean"]:.1f}' if n else ABSENT)
        of = '' if n == row['of'] else f' of {row["of"]}'
        lines.append([row['row'], f'{n}{of}', *cells])
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


def _order(name: str) -> tuple:
    return PROBES.index(name) if name in PROBES else len(PROBES), name
