"""A config as its library ships it, and what its backbone gives."""

import copy
import difflib
import importlib
import inspect
import os
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from ...training.config import find_mmseg
from .sizes import training_size

LIBRARIES = dict(
    mmpose='MMPose',
    mmdet='MMDetection',
    mmseg='MMSegmentation',
    mmpretrain='MMPretrain',
)
# Parts of a model that a vision backbone is not enough for, by what their names hold.
_BEYOND_IMAGES = ('language', 'lang_', 'text', 'tokenizer', 'multimodal', 'track')


class Refusal(ValueError):
    """A config cannot be given another backbone; the message says why."""


@dataclass
class Stock:
    """A config to inherit from.

    Attributes:
        name: As it was asked for.
        base: What ``_base_`` has to be, as Python source.
        library: Import name of its library.
        cfg: The config.
        size: (h, w) in pixels of the images that it trains on.
    """

    name: str
    base: str
    library: str
    cfg: Config
    size: tuple[int, int]

    @property
    def model(self) -> dict:
        """Its model's config."""
        return self.cfg.model


@dataclass(frozen=True)
class Level:
    """One output of a backbone: ``channels``, and pixels between neighbours.

    ``stride`` is None for a vector [B, channels].
    """

    channels: int
    stride: float | None


def read_stock(name: str, out: Path) -> Stock:
    """Read a config, from ``library::path`` or a file, to be inherited by ``out``.

    Raises:
        Refusal: If there is no such config or library, it cannot be read, or its model
            is not one with an image backbone of its own.
    """
    path, base = _locate(name, out)
    try:
        # MMEngine decides by the file's text whether it is a pure Python config.
        lazy = Config._is_lazy_import(str(path))
        cfg = None if lazy else Config.fromfile(path)
    except Exception as error:  # whatever a config's code, or a base's, may raise
        raise Refusal(f'cannot be read here: {reason(error)}') from error
    if lazy:
        raise Refusal(
            'is a pure Python config (read_base), which a text config cannot inherit: '
            'take its counterpart among the text configs'
        )
    library = cfg.get('default_scope', name.partition('::')[0])
    if library not in LIBRARIES:
        raise Refusal(
            f'has default_scope={library!r}, not one of {", ".join(LIBRARIES)}'
        )
    _check_installed(library)
    _check_model(cfg.get('model'))
    init_default_scope(library)
    importlib.import_module(f'{library}.utils').register_all_modules(False)
    return Stock(name, base, library, cfg, training_size(cfg))


def _locate(name: str, out: Path) -> tuple[Path, str]:
    """The file of a config, and the expression that names it in ``_base_``."""
    find_mmseg()
    library, found, inner = name.partition('::')
    if not found:
        path = Path(name)
        if not path.is_file():
            raise Refusal('there is no such file')
        base = path if path.is_absolute() else os.path.relpath(path, out.parent)
        return path, repr(str(base))
    if library not in LIBRARIES:
        raise Refusal(f'{library!r} is not one of {", ".join(LIBRARIES)}')
    _check_installed(library)
    configs = Path(find_spec(library).submodule_search_locations[0], '.mim/configs')
    path = configs / inner
    if not path.is_file():
        known = [str(each.relative_to(configs)) for each in configs.rglob('*.py')]
        close = difflib.get_close_matches(inner, known, n=1)
        hint = f'; did you mean {library}::{close[0]}?' if close else ''
        raise Refusal(f'{LIBRARIES[library]} has no such config{hint}')
    if library == 'mmseg' or re.match(r'\w+::\w+/', name) is None:
        # MMSegmentation's launcher finds 'mmseg::…' with upstream's package only, and
        # MMEngine no folders such as gn+ws.
        return path, f'f"{{__import__({library!r}).__path__[0]}}/.mim/configs/{inner}"'
    return path, repr(name)


def _check_installed(library: str) -> None:
    if find_spec(library) is None:
        raise Refusal(
            f'{LIBRARIES[library]} ({library}) is not installed: `make test` in a '
            'clone of saip_mm installs it'
        )


def _check_model(model: dict | None) -> None:
    """Refuse what has no image backbone of its own at the top."""
    if not model:
        raise Refusal('has no model: it is a part for other configs')
    kind = model.get('type')
    for key in model:
        if any(part in key for part in _BEYOND_IMAGES):
            raise Refusal(f'{kind} needs more than images: it has a {key}')
        if 'teacher' in key:
            raise Refusal(f'{kind} learns from a trained teacher ({key})')
    if not isinstance(model.get('backbone'), dict):
        parts = ', '.join(key for key, part in model.items() if isinstance(part, dict))
        raise Refusal(f'{kind} has no backbone of its own, but {parts or "nothing"}')
    heads = [key for key in model if key.endswith('head') and model[key]]
    if not heads:
        raise Refusal(f'{kind} has no head here: there is nothing to train')


def without_weights(part: object) -> object:
    """A copy of a config in which nothing names weights to load or to download."""
    if isinstance(part, list | tuple):
        return type(part)(without_weights(each) for each in part)
    if not isinstance(part, dict):
        return copy.deepcopy(part)
    kept = {}
    for key, value in part.items():
        loads = isinstance(value, dict) and value.get('type') == 'Pretrained'
        if key == 'init_cfg' and isinstance(value, list):
            value = [each for each in value if each.get('type') != 'Pretrained']
        if key == 'init_cfg' and loads:
            continue
        kept[key] = None if key == 'pretrained' else without_weights(value)
    return type(part)(kept)


def measure_levels(stock: Stock) -> list[Level]:
    """Show an image to the backbone, untrained, to see what it gives.

    Raises:
        Refusal: If it does not build or does not take images, or gives something else
            than maps or vectors of its image, or other things in training.
    """
    cfg = without_weights(stock.model['backbone'])
    kind = cfg.get('type')
    cfg.pop('init_cfg', None)
    # Most backbones take small images, and on the meta device, which only works out
    # shapes; the others are asked in earnest.
    small, own = (128, 128), tuple(min(side, 512) for side in stock.size)
    for device, size in (('meta', small), ('cpu', small), ('cpu', own)):
        try:
            backbone = _built(cfg, device)
            images = torch.randn(2, 3, *size, device=device)
            training, testing = (_run(backbone, images, m) for m in (True, False))
            break
        except Refusal:
            if device == 'cpu':
                raise
        except Exception as error:
            failure = error
    else:
        raise Refusal(
            f'its own backbone {kind} fails on images [B, 3, h, w]: {reason(failure)}'
        ) from failure
    levels = [_level(kind, each, images) for each in training]
    if levels != [_level(kind, each, images) for each in testing]:
        raise Refusal(
            f'its backbone {kind} gives {len(levels)} maps in training and '
            f'{len(testing)}, or others, in testing'
        )
    return levels


def _built(cfg: dict, device: str) -> nn.Module:
    """A backbone that takes images and nothing else."""
    kind = cfg.get('type')
    try:
        with torch.device(device):
            backbone = MODELS.build(copy.deepcopy(cfg))
    except Exception as error:
        raise Refusal(
            f'its own backbone {kind} does not build here: {reason(error)}'
        ) from error
    more = list(inspect.signature(backbone.forward).parameters)[1:]
    if more:
        raise Refusal(f'its backbone {kind} takes {", ".join(more)} besides images')
    return backbone


def _run(backbone: nn.Module, images: Tensor, training: bool) -> list | tuple:
    backbone.train(training)  # some return None here
    with torch.no_grad():
        outputs = backbone(images)
    return outputs if isinstance(outputs, list | tuple) else [outputs]


def _level(kind: str, output: object, images: Tensor) -> Level:
    """What one output of a backbone is."""
    if not isinstance(output, Tensor):
        raise Refusal(f'its backbone {kind} gives nested outputs, not one per level')
    if output.ndim not in (2, 4) or len(output) != len(images):
        raise Refusal(
            f'its backbone {kind} gives {list(output.shape)} of images '
            f'{list(images.shape)}: neither maps [B, C, h, w] nor vectors [B, C]'
        )
    if output.ndim == 2:
        return Level(output.shape[1], None)
    if output.shape == images.shape:
        raise Refusal(f'its backbone {kind} hands on the images themselves')
    across = [
        side / ours
        for side, ours in zip(images.shape[2:], output.shape[2:], strict=True)
    ]
    # Odd sizes are rounded differently: strides are meant to be powers of two.
    nearest = 2 ** round(torch.tensor(across).log2().mean().item())
    exact = all(0.8 < stride / nearest < 1.25 for stride in across)
    return Level(output.shape[1], nearest if exact else across[0])


def reason(error: Exception, limit: int = 160) -> str:
    """An exception in one line."""
    text = f'{type(error).__name__}: {str(error).strip()}'.split('\n')[0].rstrip(': ')
    return text if len(text) <= limit else f'{text[:limit]}…'
