"""Reading of configs."""

from collections.abc import Iterator


def parts_of(config: object) -> Iterator[dict]:
    """All dicts in a part of a config, outer ones first."""
    if isinstance(config, dict):
        yield config
        config = list(config.values())
    if isinstance(config, list | tuple):
        for each in config:
            yield from parts_of(each)


def type_name(part: dict) -> str:
    """Name of the class that a part of a config builds, without scope and module."""
    kind = part.get('type')
    return str(getattr(kind, '__name__', kind)).rpartition('.')[2]


def pipeline_of(dataset: dict) -> list[dict]:
    """Return a copy of the pipeline in the config of a data set; for a wrapper or a
    concatenation, that of its first data set."""
    inner = [dataset.get('dataset'), *(dataset.get('datasets') or ())]
    own = next((pipeline_of(each) for each in inner if each), [])
    return own or [*(dataset.get('pipeline') or ())]
