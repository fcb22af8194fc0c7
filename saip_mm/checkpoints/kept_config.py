"""Saved configs of trainings, read as data without executing them."""

import ast
import math
from collections.abc import Iterator

from mmengine.config import Config
from mmpretrain.registry import DATASETS, MODELS, TRANSFORMS

from .backbone import POOLED, backbone_class

# Modules whose classes a saved config may build. Other registered classes may load
# pickles or run code of a model hub.
_HARMLESS = ('saip_mm.', 'mmengine.dataset.', 'mmpretrain.datasets.dataset_wrappers')
_HARMLESS += ('torch.nn.', 'mmcv.cnn.')


class _Values(ast.NodeTransformer):
    """Converts the non-literals of a dumped config to literals."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.func, ast.Name) or node.func.id != 'dict':
            return node
        if len(node.args) == 1 and isinstance(node.args[0], ast.Dict):
            return node.args[0]  # keys that are not identifiers
        if node.args or not all(word.arg for word in node.keywords):
            return node
        keys = [ast.Constant(word.arg) for word in node.keywords]
        return ast.Dict(keys, [word.value for word in node.keywords])

    def visit_Name(self, node: ast.Name) -> ast.AST:
        known = node.id in ('inf', 'nan')
        return ast.Constant(getattr(math, node.id)) if known else node


def parse_config(text: str, name: str) -> Config:
    """Read the text of a config dumped by MMEngine: plain values without inheritance.

    Raises:
        ValueError: If it contains anything else, such as code; begins with ``name``.
    """
    line, settings = 1, {}
    try:
        for statement in ast.parse(text).body:
            line = statement.lineno
            (target,) = statement.targets
            settings[target.id] = ast.literal_eval(_Values().visit(statement.value))
        if '_base_' in settings:
            raise ValueError('it inherits another config')
        return Config(settings)
    except Exception as error:  # ast raises many types on odd text
        line = getattr(error, 'lineno', None) or line
        raise ValueError(
            f'{name} contains more than plain values (line {line}), and only a config '
            'given on the command line is executed'
        ) from error


def check_buildable(cfg: Config, name: str) -> Config:
    """Check that a pretraining config builds only harmless models and data sets.

    A registry imports and calls any function named by ``type``, such as ``os.system``.
    Initial weights of the backbone are removed from the config.

    Raises:
        ValueError: If it does not; begins with ``name``.
    """
    try:
        parts = cfg.model, cfg.train_dataloader.dataset
        cfg.model.backbone.pop('init_cfg', None)
    except (AttributeError, TypeError) as error:
        raise ValueError(f'{name} is not a config of pretraining: {error}') from error
    for kind in _types(parts):
        if not _is_harmless(kind):
            raise ValueError(
                f'{name} builds {kind!r}, which is not part of saip_mm; only a config '
                'given on the command line may do that'
            )
    return cfg


def _types(setting: object) -> Iterator[object]:
    if isinstance(setting, dict):
        yield from (setting[key] for key in ('type', '_scope_') if key in setting)
        setting = setting.values()
    elif not isinstance(setting, list | tuple | set):
        return
    for each in setting:
        yield from _types(each)


def _is_harmless(kind: object) -> bool:
    if not isinstance(kind, str):
        return False
    kind = kind.removeprefix('mmpretrain.')
    if kind in POOLED.values():
        backbone_class(kind)
    for registry in (MODELS, DATASETS, TRANSFORMS):
        for each in (registry, registry.parent):
            found = each.module_dict.get(kind)
            if found is not None:
                return found.__module__.startswith(_HARMLESS)
    return False
