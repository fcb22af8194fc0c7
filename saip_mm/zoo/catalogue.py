"""What is known of every config of the zoo, and the files that say it.

``configs/model_zoo.yml`` lists the configs, their tasks and the authors' figures. What
was measured of a config, and the result of its training, are in a JSON file beside it.
"""

import json
import math
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import get_origin

import yaml

from ..files import write_text

CATALOGUE = Path('configs/model_zoo.yml')
_SHA256 = re.compile(r'[0-9a-f]{64}')


@dataclass(frozen=True)
class Measured:
    """Size and speed of a model, with batches of one image.

    Attributes:
        part: ``'model'``, or ``'backbone'`` of a pretraining config.
        input_size: (h, w) of the image in pixels.
        parameters: How many numbers its weights are, those of auxiliary heads included.
        multiply_adds: Of convolutions, linear layers and attention.
        fastest_ms: CPU time of one thread in the fastest run, in milliseconds.
        median_ms: In the median run; more if the machine had other work.
        runs: How many there were.
        cpu: Name of the processor.
        torch: Version of PyTorch.
    """

    part: str
    input_size: list[int]
    parameters: int
    multiply_adds: int
    fastest_ms: float
    median_ms: float
    runs: int
    cpu: str
    torch: str


@dataclass(frozen=True)
class Trained:
    """What a test of trained weights said.

    Attributes:
        metrics: Figures by the names that the test gives them.
        log: Name of the file that they are from.
        log_sha256: Of that file.
        weights: Name of the checkpoint.
        weights_sha256: Of that file.
        url: Where the checkpoint can be downloaded from; empty if nowhere.
    """

    metrics: dict[str, float]
    log: str
    log_sha256: str
    weights: str
    weights_sha256: str
    url: str


@dataclass(frozen=True)
class Section:
    """A folder of configs.

    Attributes:
        folder: Relative to the root of the project.
        title: Heading of its table.
        task: OpenMMLab's name of it, where there is one.
    """

    folder: Path
    title: str
    task: str


@dataclass(frozen=True)
class Entry:
    """A config of the zoo.

    Attributes:
        section: Where it belongs.
        config: Relative to the root of the project.
        dataset: What it trains with.
        metrics: For every figure that counts, the ``name`` that tests give it and the
            value that is 100 %.
        authors: Their figures for ViT-Tiny by metric, in per cent: "Ours", "Ours*".
        measured: None if it is not.
        trained: None if it is not.
    """

    section: Section
    config: Path
    dataset: str
    metrics: dict[str, dict]
    authors: dict[str, tuple[float, float]]
    measured: Measured | None
    trained: Trained | None

    @property
    def name(self) -> str:
        return self.config.stem

    @property
    def figures(self) -> dict[str, float]:
        """This project's figures in per cent; none if nothing is trained."""
        if self.trained is None:
            return {}
        found = self.trained.metrics
        return {
            title: round(100 * found[metric['name']] / metric['full'], 2)
            for title, metric in self.metrics.items()
        }


def read_catalogue(root: Path) -> list[Entry]:
    """All configs of the zoo, in the order of the tables.

    Raises:
        FileNotFoundError: If there is no catalogue below ``root``.
        ValueError: If a file is not as it should be; names the file.
    """
    content = yaml.safe_load((root / CATALOGUE).read_text('utf-8'))
    authors = content['authors']['figures']
    entries = []
    for folder, section in content['sections'].items():
        place = Section(Path(folder), section['title'], section['task'])
        for name, known in section['configs'].items():
            config = place.folder / f'{name}.py'
            if not (root / config).is_file():
                raise ValueError(f'{CATALOGUE}: there is no {config}')
            parts = read_results(root / config)
            theirs = authors.get(known['dataset'], {})
            theirs = {metric: tuple(values[:2]) for metric, values in theirs.items()}
            entries.append(Entry(place, config, **known, authors=theirs, **parts))
            _check_metrics(entries[-1])
    known = {entry.config.with_suffix('.json') for entry in entries}
    for path in sorted((root / 'configs').rglob('*.json')):
        if path.relative_to(root) not in known:
            raise ValueError(f'{path}: {CATALOGUE} has no config of this name')
    return entries


def read_authors(root: Path) -> tuple[list[str], dict[str, dict[str, list[float]]]]:
    """The authors' columns, and their figures in per cent by data set and metric."""
    authors = yaml.safe_load((root / CATALOGUE).read_text('utf-8'))['authors']
    return authors['columns'], authors['figures']


def result_file(config: Path) -> Path:
    """Where what is known of a config is kept."""
    return config.with_suffix('.json')


def read_results(config: Path) -> dict[str, Measured | Trained | None]:
    """What is known of a config: ``measured`` and ``trained``, or None.

    Raises:
        ValueError: If the file is damaged; names it.
    """
    path = result_file(config)
    kinds = dict(measured=Measured, trained=Trained)
    results = dict.fromkeys(kinds)
    if not path.exists():
        return results
    try:
        content = json.loads(path.read_text('utf-8'))
        if unknown := content.keys() - kinds.keys():
            raise ValueError(f'says {", ".join(sorted(unknown))}')
        for name, values in content.items():
            results[name] = _checked(kinds[name](**values))
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f'{path} is not a result file: {error}') from error
    return results


def write_results(config: Path, **parts: Measured | Trained) -> None:
    """Replace ``measured`` or ``trained`` of what is known of a config."""
    results = read_results(config) | parts
    content = {name: asdict(part) for name, part in results.items() if part}
    write_text(result_file(config), json.dumps(content, indent=2) + '\n')


def _checked(part: Measured | Trained) -> Measured | Trained:
    for field in fields(part):
        value = getattr(part, field.name)
        wanted = get_origin(field.type) or field.type
        if not isinstance(value, (int, float) if wanted is float else wanted):
            raise ValueError(f'{field.name} is {value!r}')
        if field.name.endswith('sha256') and not _SHA256.fullmatch(value):
            raise ValueError(f'{field.name} is not a SHA-256')
    return part


def _check_metrics(entry: Entry) -> None:
    if entry.trained is None:
        return
    found = entry.trained.metrics
    for metric in entry.metrics.values():
        value = found.get(metric['name'])
        if type(value) not in (int, float) or not math.isfinite(value):
            path = result_file(entry.config)
            raise ValueError(f'{path}: {metric["name"]} is {value!r}, not a figure')
