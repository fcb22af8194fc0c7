"""Results of trained models, taken from the folders that runs leave."""

import json
import math
from pathlib import Path

from mmengine.config import Config

from ..checkpoints.checkpoint import resolve_checkpoint
from ..checkpoints.kept_config import parse_config
from ..evaluation.rows import digest
from ..files import sha256
from .catalogue import Trained

_NOT_METRICS = ('time', 'data_time')


def read_run(cfg: Config, folder: Path, url: str = '') -> Trained:
    """The result of a run.

    Args:
        cfg: The config that was run.
        folder: What ``tools/test.py`` leaves (``work_dirs/NAME/TIME``), or the folder
            of a seed by ``tools/compare.py``.
        url: Where the weights can be downloaded from.

    Raises:
        FileNotFoundError: If the folder is no such one, or the weights are gone.
        ValueError: If the run was one of another config; names the file.
    """
    if (folder / 'result.json').exists():
        log, weights, metrics = _compared(cfg, folder)
    else:
        log, weights, metrics = _tested(cfg, folder)
    return Trained(
        metrics=metrics,
        log=log.name,
        log_sha256=sha256(log),
        weights=weights.name,
        weights_sha256=sha256(weights),
        url=url,
    )


def _compared(cfg: Config, folder: Path) -> tuple[Path, Path, dict]:
    log = folder / 'result.json'
    content = _read(log)
    if content.get('config_sha256') != digest(cfg):
        raise ValueError(f'{log} was made with another config')
    return log, resolve_checkpoint(folder), _figures(content.get('probes', {}))


def _tested(cfg: Config, folder: Path) -> tuple[Path, Path, dict]:
    log, ran = folder / f'{folder.name}.json', folder / 'vis_data/config.py'
    for path in (log, ran):
        if not path.exists():
            raise FileNotFoundError(f'{path} is missing: {folder} is not of a test')
    tested = parse_config(ran.read_text(encoding='utf-8'), str(ran))
    for name in ('model', 'pipeline'):
        if _what_counts(tested)[name] != _what_counts(cfg)[name]:
            raise ValueError(f'{ran}: the {name} is not that of the config')
    return log, resolve_checkpoint(tested.load_from), _figures(_read(log))


def _what_counts(cfg: Config) -> dict:
    """What figures depend on besides weights; data may be anywhere."""
    model = json.loads(json.dumps(cfg.model.to_dict()))
    model.get('backbone', {}).pop('init_cfg', None)
    pipeline = cfg.test_dataloader.dataset.get('pipeline')
    return dict(model=model, pipeline=json.loads(json.dumps(pipeline)))


def _read(path: Path) -> dict:
    try:
        return dict(json.loads(path.read_text('utf-8')))
    except (TypeError, ValueError) as error:
        raise ValueError(f'{path} holds no figures: {error}') from error


def _figures(found: dict) -> dict[str, float]:
    return {
        name: value
        for name, value in found.items()
        if type(value) in (int, float)
        and math.isfinite(value)
        and name not in _NOT_METRICS
    }
