"""Print how many images and minutes runs took to reach given probe scores.

    python tools/time_to_quality.py work_dirs/demo --reach reid/mAP=0.05 search/IoU=0.3

Reads the logs of runs with ProbeHook. Minutes count only steps, not probes or start-up.
A value counts as reached at the first probe at or above it.
"""

import argparse

import numpy as np

from saip_mm.errors import one_line_errors, script_parser
from saip_mm.report.work_dir import Series, WorkDir
from saip_mm.training.config import parse_option


def parse_args() -> argparse.Namespace:
    parser = script_parser(__doc__)
    parser.add_argument('work_dirs', nargs='+', metavar='WORK_DIR')
    parser.add_argument(
        '--reach',
        nargs='+',
        required=True,
        type=parse_option,
        metavar='PROBE=VALUE',
        help='scores and values, such as reid/mAP=0.05',
    )
    args = parser.parse_args()
    try:
        args.reach = [(name, float(value)) for name, value in args.reach]
    except ValueError as error:
        parser.error(f'--reach: {error}')
    return args


def minutes_until(series: Series, step: int) -> float:
    """Time of the steps up to ``step``, as the next log of each says, or the last."""
    logged, seconds = map(list, zip(*series.get('time') or [(0, 0.0)], strict=True))
    which = np.searchsorted(logged, np.arange(1, step + 1)).clip(max=len(logged) - 1)
    return np.array(seconds)[which].sum() / 60


def rows(path: str, reach: list[tuple[str, float]]) -> list[str]:
    """Rows of the table for a work directory."""
    work_dir = WorkDir(path)
    series = work_dir.series()
    config = work_dir.saved_config()
    batch = config.train_dataloader.batch_size * work_dir.processes()
    found = []
    for name, value in reach:
        if not (points := series.get(f'probe/{name}')):
            probed = [key[6:] for key in sorted(series) if key.startswith('probe/')]
            raise ValueError(
                f'{path}: {name} was not probed; its log has '
                f'{", ".join(probed) or "no probes: set default_hooks.probe"}'
            )
        step = next((step for step, score in points if score >= value), None)
        cells = ['not reached', f'{max(score for _, score in points):.3f} at best', '']
        if step is not None:
            cells = [f'{step:,}', f'{step * batch:,}']
            cells.append(f'{minutes_until(series, step):.1f}')
        cells = [work_dir.path.resolve().name, f'{name} ≥ {value:g}', *cells]
        found.append(f'| {" | ".join(cells)} |')
    return found


def main() -> None:
    args = parse_args()
    lines = [row for path in args.work_dirs for row in rows(path, args.reach)]
    print('| training | probe | steps | images | minutes |')
    print('| --- | --- | ---: | ---: | ---: |')
    print('\n'.join(lines))


if __name__ == '__main__':
    with one_line_errors():
        main()
