"""The pages of the zoo: OpenMMLab's index and metafiles, and tables in Markdown."""

from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path

import yaml

from ..files import write_text
from .catalogue import Entry, Section, read_authors, read_catalogue

INDEX = Path('model-index.yml')
README, TABLES = Path('README.md'), Path('docs/model_zoo.md')
BEGIN, END = '<!-- model zoo -->\n', '<!-- end of the model zoo -->\n'
WRITTEN = '# Written by tools/model_zoo.py: change configs/model_zoo.yml, or measure.\n'

COLLECTION = dict(
    Name='SAIP',
    Metadata=dict(Architecture=['ViT-Tiny']),
    Paper=dict(
        Title='Scale-Aware Pre-Training for Human-Centric Visual Perception: Enabling '
        'Lightweight and Generalizable Models',
        URL='https://arxiv.org/abs/2503.08201',
    ),
)
ABSENT = '–'
UNMEASURED = 'not measured'
UNTRAINED = 'not trained'

Column = tuple[str, Callable[[Entry], str]]


def write_pages(root: Path) -> None:
    """Bring all pages of the project at ``root`` up to date.

    Raises:
        ValueError: If a file with facts is not as it should be, or a page has no place
            for them; names the file.
    """
    for path, text in pages(root).items():
        write_text(root / path, text)


def pages(root: Path) -> dict[Path, str]:
    """What every page should hold, by its path relative to ``root``."""
    entries = read_catalogue(root)
    found = {}
    for section, members in _sections(entries):
        found[section.folder / 'metafile.yml'] = _metafile(members)
    # The file with the collection comes first.
    found[INDEX] = _yaml(dict(Import=[str(path) for path in found]))
    found[README] = _replaced(root, README, _table(entries, OVERVIEW))
    found[TABLES] = _replaced(root, TABLES, _tables(root, entries))
    return found


def _sections(entries: list[Entry]) -> Iterable[tuple[Section, list[Entry]]]:
    for section, members in groupby(entries, lambda entry: entry.section):
        yield section, list(members)


def _metafile(entries: list[Entry]) -> str:
    content = dict(Models=[_model(entry) for entry in entries])
    if entries[0].section.folder == Path('configs/pretrain'):
        content = dict(Collections=[COLLECTION], **content)
    return _yaml(content)


def _model(entry: Entry) -> dict:
    metadata = {'Training Data': entry.dataset}
    if measured := entry.measured:
        # OpenMMLab's "FLOPs" are multiply-adds.
        metadata['FLOPs'] = measured.multiply_adds
        metadata['Parameters'] = measured.parameters
        metadata['inference time (ms/im)'] = [
            {
                'value': measured.fastest_ms,
                'hardware': f'one thread of {measured.cpu}',
                'backend': f'PyTorch {measured.torch}',
                'batch size': 1,
                'mode': 'FP32',
                'resolution': '({}, {})'.format(*measured.input_size),
            }
        ]
    model = {
        'Name': entry.name,
        'In Collection': COLLECTION['Name'],
        'Config': str(entry.config),
        'Metadata': metadata,
        'Results': None,
    }
    if trained := entry.trained:
        result = dict(
            Task=entry.section.task, Dataset=entry.dataset, Metrics=entry.figures
        )
        model['Results'] = [result]
        model['Weights SHA-256'] = trained.weights_sha256
        if trained.url:
            model['Weights'] = trained.url
    return model


def _yaml(content: dict) -> str:
    return WRITTEN + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _tables(root: Path, entries: list[Entry]) -> str:
    parts = []
    for section, members in _sections(entries):
        parts.append(f'## {section.title}\n\n{_table(members, DETAILS)}')
    measured = [entry.measured for entry in entries if entry.measured]
    machines = dict.fromkeys(f'{each.cpu}, PyTorch {each.torch}' for each in measured)
    parts.append(f'Latency was measured on: {"; ".join(machines) or "nothing yet"}.\n')
    if weights := [_provenance(entry) for entry in entries if entry.trained]:
        parts.append('## Weights\n\n' + ''.join(weights))
    return '\n'.join([*parts, _authors_table(root)])


def _provenance(entry: Entry) -> str:
    trained = entry.trained
    return (
        f'- `{entry.name}`: {trained.weights}, SHA-256 `{trained.weights_sha256}`; '
        f'figures from {trained.log}, SHA-256 `{trained.log_sha256}`\n'
    )


def _authors_table(root: Path) -> str:
    columns, figures = read_authors(root)
    rows = [
        [dataset, metric, *(f'{value:.1f}' for value in values)]
        for dataset, metrics in figures.items()
        for metric, values in metrics.items()
    ]
    return '## What the authors report\n\n' + _markdown(['data', '', *columns], rows)


def _table(entries: list[Entry], columns: list[Column]) -> str:
    rows = [[cell(entry) for _, cell in columns] for entry in entries]
    return _markdown([title for title, _ in columns], rows)


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ['---'] * len(header), *rows]
    return ''.join(f'| {" | ".join(cells)} |\n' for cells in lines)


def _measured(entry: Entry, text: str) -> str:
    """``text`` with what was measured in its fields, or that nothing was."""
    return text.format(entry.measured) if entry.measured else UNMEASURED


def _millions(entry: Entry) -> str:
    return f'{entry.measured.parameters / 1e6:.2f}' if entry.measured else UNMEASURED


def _billions(entry: Entry) -> str:
    return f'{entry.measured.multiply_adds / 1e9:.2f}' if entry.measured else UNMEASURED


def _input(entry: Entry) -> str:
    return _measured(entry, '{0.input_size[0]}×{0.input_size[1]}')


def _latency(entry: Entry) -> str:
    return _measured(entry, '{0.fastest_ms:.0f} / {0.median_ms:.0f}')


def _ours(entry: Entry) -> str:
    cells = [f'{metric} {value:.1f}' for metric, value in entry.figures.items()]
    return ', '.join(cells) or UNTRAINED


def _theirs(entry: Entry) -> str:
    cells = [f'{metric} {a:.1f} / {b:.1f}' for metric, (a, b) in entry.authors.items()]
    return ', '.join(cells) or ABSENT


def _weights(entry: Entry) -> str:
    if entry.trained is None:
        return UNTRAINED
    name = f'{entry.trained.weights_sha256[:8]}'
    return f'[{name}]({entry.trained.url})' if entry.trained.url else name


OVERVIEW: list[Column] = [
    ('config', lambda entry: f'[`{entry.name}`]({entry.config})'),
    ('parameters, M', _millions),
    ('multiply-adds, G', _billions),
    ('this project', _ours),
    ("authors' Ours / Ours*", _theirs),
]
DETAILS: list[Column] = [
    ('config', lambda entry: f'[`{entry.name}`](../{entry.config})'),
    ('data', lambda entry: entry.dataset),
    ('input, h×w', _input),
    ('parameters, M', _millions),
    ('multiply-adds, G', _billions),
    ('latency, ms (fastest / median)', _latency),
    ('this project', _ours),
    ("authors' Ours / Ours*", _theirs),
    ('weights', _weights),
]


def _replaced(root: Path, path: Path, body: str) -> str:
    """The text of a page with ``body`` between its two marks."""
    text = (root / path).read_text('utf-8')
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(
            f'{path} has no place for the zoo: {BEGIN.strip()} and the end'
        )
    return f'{before}{BEGIN}\n{body}\n{END}{after}'
