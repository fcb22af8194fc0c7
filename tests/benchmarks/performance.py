"""Timing of alternating sides, and the tables of tools/benchmark.py."""

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from rich.progress import track

Step = Callable[[], Iterator[str]]
Spread = list[float]  # median, lowest, highest

HEADING = '## Results\n'
WARM_UP = 1  # round


def now() -> float:
    """Time in seconds, after the GPU has finished."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def timed(step: Iterator[str]) -> dict[str, float]:
    """Seconds of the phases of a step, which yields their names at their ends."""
    seconds, began = {}, now()
    for phase in step:
        ended = now()
        seconds[phase], began = ended - began, ended
    return seconds | dict(total=sum(seconds.values()))


def median_and_range(values: list[float]) -> Spread:
    return [statistics.median(values), min(values), max(values)]


def interleave(
    title: str, sides: dict[str, Step], rounds: int
) -> dict[str, dict[str, Spread]]:
    """Seconds of each side's phases and total; sides alternate after a warm-up."""
    found = {side: [] for side in sides}
    for turn in track(range(WARM_UP + rounds), title):
        for side, step in sides.items():
            seconds = timed(step())
            if turn >= WARM_UP:
                found[side].append(seconds)
    return {
        side: {
            phase: median_and_range([each[phase] for each in all_]) for phase in all_[0]
        }
        for side, all_ in found.items()
    }


def render(path: Path, results: list[dict]) -> None:
    """Write Markdown; text above :data:`HEADING` stays."""
    above = path.read_text() if path.exists() else '# Performance\n\n'
    sections = map(_section, results)
    path.write_text(above.partition(HEADING)[0] + HEADING + ''.join(sections))


def _section(result: dict) -> str:
    lines = [f'\n### {result["config"]}', '', f'{result["machine"]}.', '']
    commands = dict.fromkeys(result['commands'].values())
    lines += [*(f'    {command}' for command in commands), '']
    for part, table in TABLES.items():
        if part in result:
            lines += [*table(result), '']
    return '\n'.join(lines)


def _table(*rows: list[str]) -> list[str]:
    """Lines of a table; the first row is its head."""
    head, *rest = (f'| {" | ".join(map(str, row))} |' for row in rows)
    return [head, f'|{" --- |" * len(rows[0])}', *rest]


def _range(seconds: Spread, digits: int = 3) -> str:
    median, low, high = (f'{each:.{digits}f}' for each in seconds)
    return f'{median} ({low}–{high})'


def _steps(result: dict) -> list[str]:
    phases = ('forward', 'backward', 'optimizer', 'teacher')
    head = ['side', 'precision', 'batch', 'seconds per step', *phases]
    head += ['speed, plain = 1', 'speed, plain fp32 = 1', 'of the matrix peak, %']
    total = {_kind(row): row['seconds']['total'] for row in result['steps']}
    missing = [n for n in ('flop_per_image', 'matmul_flop_per_s') if n not in result]
    peaks = result.get('matmul_flop_per_s', {})
    if peaks and {precision for _, precision, _ in total} - peaks.keys():
        missing.append('matmul_flop_per_s')
    if missing:
        raise ValueError(
            f'{result["config"]}: results of steps lack {" and ".join(missing)}; '
            f'measure with --parts {" ".join(missing)}'
        )
    flop = result['flop_per_image']['total']
    lines = []
    for row in result['steps']:
        side, precision, batch = _kind(row)
        seconds = total[side, precision, batch][0]
        share = flop * batch / seconds / result['matmul_flop_per_s'][precision]
        plain = (total.get(('plain', each, batch)) for each in (precision, 'fp32'))
        lines.append(
            [
                *(side, precision, batch, _range(row['seconds']['total'])),
                *(f'{row["seconds"][phase][0]:.3f}' for phase in phases),
                *(f'{each[0] / seconds:.2f}' if each else '–' for each in plain),
                f'{100 * share:.0f}' if side != 'cached' else '–',
            ]
        )
    peaks = result['matmul_flop_per_s'].items()
    peaks = ', '.join(f'{name} {peak / 1e9:,.0f} GFLOP/s' for name, peak in peaks)
    note = (
        f'A step{" of the plain path" * any(k[0] == "plain" for k in total)} costs '
        f'{flop / 1e9:.2f} GFLOP per image; matrix products run at up to {peaks}.'
    )
    return [*_table(head, *lines), '', note]


def _ratio(value: float, plain: float | None) -> str:
    return f'{value / plain:.2f}' if plain else '–'


def _kind(row: dict) -> tuple[str, str, int]:
    return row['side'], row['precision'], row['batch']


def _memory(result: dict) -> list[str]:
    peaks = {_kind(row): row['peak_bytes'] for row in result['memory']}
    rows = [
        [*kind, f'{peak / 2**30:.2f}', _ratio(peak, peaks.get(('plain', *kind[1:])))]
        for kind, peak in peaks.items()
    ]
    head = ['side', 'precision', 'batch', 'peak memory of a step, GiB', 'plain = 1']
    return _table(head, *rows)


def _parts(result: dict) -> list[str]:
    rows = [
        [row['precision'], row['batch'], name, _range(seconds, 4)]
        for row in result['parts']
        for name, seconds in row['seconds'].items()
    ]
    return _table(['precision', 'batch', 'part of the forward pass', 'seconds'], *rows)


def _data(result: dict) -> list[str]:
    sides = result['data']
    plain = sides['plain'][0]
    rows = [
        [side, _range([1e3 * each for each in ms], 2), f'{plain / ms[0]:.2f}']
        for side, ms in sides.items()
    ]
    return _table(['views of a sample, one core', 'ms', 'speed, plain = 1'], *rows)


def _training(result: dict) -> list[str]:
    rows = [
        [
            *(row['precision'], row['batch'], row['workers']),
            *(f'{row["images_per_s"]:.1f}', f'{100 * row["waiting"]:.1f}'),
        ]
        for row in result['training']
    ]
    head = ['precision', 'batch', 'workers', 'images/s', 'waiting for data, %']
    return _table(['training with its loader: ' + head[0], *head[1:]], *rows)


def _allreduce(result: dict) -> list[str]:
    megabytes = {k: f'{v / 1e6:.2f} MB' for k, v in result['allreduce'].items()}
    text = ', '.join(f'{size} of {name}' for name, size in megabytes.items())
    return [f'Each process of a distributed training all-reduces {text} per step.']


def _reading(result: dict) -> list[str]:
    rows = [
        [
            *(row['source'], row['images'], f'{row["images_per_s"][0]:.0f}'),
            '{:.0f}, {:.0f}'.format(*row['private_mib']),
        ]
        for row in result['reading']
    ]
    memory = 'private memory of a worker, MiB: first, last'
    return _table(['reading without views', 'images', 'images/s', memory], *rows)


TABLES = dict(
    steps=_steps,
    memory=_memory,
    parts=_parts,
    data=_data,
    training=_training,
    allreduce=_allreduce,
    reading=_reading,
)
