"""The table of a comparison: mean ± standard deviation over seeds."""

import statistics
from collections.abc import Iterable

from .rows import Row, seeds_of

# Columns in this order; probes that are not named here follow by name.
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


def summarise(rows: Iterable[Row], seeds: list[int]) -> list[dict]:
    """What is known of every row so far.

    Args:
        rows: Rows, in the order of the table.
        seeds: Seeds that are wanted of each; those that have a folder count as well.

    Returns:
        A dict per row: ``row``, ``n`` results ``of`` so many runs, and for
        ``images_seen``, ``minutes`` and every probe in ``probes`` a dict of ``mean``,
        ``std`` (of the sample, hence None for one value), ``n`` and ``values``.
    """
    summary = []
    for row in rows:
        runs = row.runs(sorted({*seeds, *seeds_of(row)}))
        results = [result for run in runs if (result := run.result())]
        names = {name for result in results for name in result['probes']}
        summary.append(
            dict(
                row=row.name,
                n=len(results),
                of=len(runs),
                revisions=sorted({str(r['environment']['revision']) for r in results}),
                images_seen=statistic([r['images_seen'] for r in results]),
                minutes=statistic([r['seconds'] / 60 for r in results]),
                probes={
                    name: statistic(
                        [r['probes'][name] for r in results if name in r['probes']]
                    )
                    for name in sorted(names, key=_order)
                },
            )
        )
    return summary


def statistic(values: list[float]) -> dict | None:
    """Mean and standard deviation (n - 1 in the denominator) of some values."""
    if not values:
        return None
    std = statistics.stdev(values) if len(values) > 1 else None
    return dict(mean=statistics.fmean(values), std=std, n=len(values), values=values)


def markdown(summary: list[dict]) -> str:
    """The summary as a Markdown table; what is not there yet is a dash."""
    probes = sorted({name for row in summary for name in row['probes']}, key=_order)
    header = ['row', 'n', *probes, 'images seen', 'minutes']
    lines = [
        [
            row['row'],
            f'{row["n"]}' if row['n'] == row['of'] else f'{row["n"]} of {row["of"]}',
            *(_cell(row['probes'].get(name), row['n']) for name in probes),
            ABSENT if not row['n'] else f'{row["images_seen"]["mean"]:,.0f}',
            ABSENT if not row['n'] else f'{row["minutes"]["mean"]:.1f}',
        ]
        for row in summary
    ]
    rule = ['---', *(['---:'] * (len(header) - 1))]
    table = '\n'.join(f'| {" | ".join(cells)} |' for cells in [header, rule, *lines])
    return f'{table}\n\nMean ± standard deviation over n seeds.{_note(summary)}\n'


def _cell(found: dict | None, n: int) -> str:
    if found is None:
        return ABSENT
    std = '' if found['std'] is None else f' ± {found["std"]:.3f}'
    return f'{found["mean"]:.3f}{std}' + (
        f' (n={found["n"]})' if found['n'] < n else ''
    )


def _note(summary: list[dict]) -> str:
    revisions = sorted({revision for row in summary for revision in row['revisions']})
    if len(revisions) < 2:
        return ''
    return f' Not all of one revision of the code: {", ".join(revisions)}.'


def _order(name: str) -> tuple:
    return PROBES.index(name) if name in PROBES else len(PROBES), name
