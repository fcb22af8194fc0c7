"""A config as its library ships it, and the levels of its backbone."""

import copy
import difflib
import importlib
import inspect
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from ...training.config import find_mmseg

LIBRARIES = dict(
    mmpose='MMPose',
    mmdet='MMDetection',
    mmseg='MMSegmentation',
    mmpretrain='MMPretrain',
)
# Parts of a model that a vision backbone is not enough for, by what their names hold.
_BEYOND_IMAGES = ('language', 'lang_', 'text', 'tokenizer', 'multimodal', 'track')
# Settings of transforms that decide the size of images, the more decisive first, and
# whether a pair of them is (w, h).
_SIZES = dict(input_size=True, crop_size=False, scale=True, size=False)
_USUAL_SIZES = dict(mmpose=(256, 192), mmdet=(800, 1344), mmseg=(512, 512))


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
    """

    name: str
    base: str
    library: str
    cfg: Config

    @property
    def model(self) -> dict:
        """Its model's config."""
        return self.cfg.model

    @property
    def wrapper(self) -> dict:
        """Its ``optim_wrapper``, empty if there is none."""
        return self.cfg.get('optim_wrapper') or {}

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) in pixels of training images; MMDetection's in multiples of 32.

        Positions are resized at run time, so that a size not found, or one of several,
        is no harm.
        """
        size = None
        if self.library == 'mmseg':
            size = _pair(self.model.get('data_preprocessor', {}).get('size'), False)
        for key, width_first in _SIZES.items():
            for step in self.transforms():
                size = size or _pair(step.get(key), width_first)
        size = size or _USUAL_SIZES.get(self.library, (224, 224))
        if self.library != 'mmdet':
            return size
        # (1333, 800) bounds the long and the short side; most images lie on their side.
        # The batches are padded.
        return tuple(sorted(-(-side // 32) * 32 for side in size))

    def transforms(self) -> Iterator[dict]:
        """Every transform of the training data, also those inside others."""
        data = (self.cfg.get('train_dataloader') or {}).get('dataset', {})
        return (part for part in parts_of(data) if 'type' in part)


@dataclass(frozen=True)
class Level:
    """One output of a backbone: ``channels``, and pixels between neighbors.

    ``stride`` is None for a vector [B, channels].
    """

    channels: int
    stride: float | None


def parts_of(config: object) -> Iterator[dict]:
    """All dicts in a part of a config, outer ones first."""
    if isinstance(config, dict):
        yield config
        config = list(config.values())
    if isinstance(config, list | tuple):
        for each in config:
            yield from parts_of(each)


def _pair(value: object, width_first: bool) -> tuple[int, int] | None:
    """(h, w) of a setting; None where it is no size in pixels."""
    sides = (value, value) if type(value) is int else value
    if not isinstance(sides, list | tuple) or len(sides) != 2:
        return None
    if not all(type(side) is int and side >= 32 for side in sides):
        return None
    return tuple(sides[::-1] if width_first else sides)


def read_stock(name: str, out: Path) -> Stock:
    """Read a config, from ``library::path`` or a file, to be inherited by ``out``.

    Raises:
        Refusal: If the config or library does not exist or cannot be read, or its
            model has no image backbone of its own.
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
    return Stock(name, base, library, cfg)


def _locate(name: str, out: Path) -> tuple[Path, str]:
    """The file of a config, and the expression that names it in ``_base_``."""
    find_mmseg()
    library, found, inner = name.partition('::')
    if not found:
        path = Path(name)
        if not path.is_file():
            raise Refusal('no such file')
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
    if not any(key.endswith('head') and model[key] for key in model):
        raise Refusal(f'{kind} has no head here: there is nothing to train')


def without_weights(config: dict) -> dict:
    """A copy of a config in which nothing names weights to load or to download."""
    config = copy.deepcopy(config)
    for part in parts_of(config):
        if 'pretrained' in part:
            part['pretrained'] = None
        init = part.get('init_cfg')
        if isinstance(init, list):
            part['init_cfg'] = [x for x in init if x.get('type') != 'Pretrained']
        elif isinstance(init, dict) and init.get('type') == 'Pretrained':
            del part['init_cfg']
    return config


def measure_levels(stock: Stock) -> list[Level]:
    """Show images to the backbone, untrained, to see what it gives.

    Raises:
        Refusal: If it does not build or does not take images, or gives something else
            than maps or vectors of its image, or other things in training.
    """
    cfg = without_weights(stock.model['backbone'])
    kind = f'backbone {cfg.get("type")}'
    cfg.pop('init_cfg', None)
    try:
        backbone = MODELS.build(cfg)
    except Exception as error:
        raise Refusal(f'its own {kind} does not build here: {reason(error)}') from error
    more = list(inspect.signature(backbone.forward).parameters)[1:]
    if more:
        raise Refusal(f'its {kind} takes {", ".join(more)} besides images')
    for size in ((128, 128), tuple(min(side, 512) for side in stock.size)):
        images = torch.randn(2, 3, *size)
        try:
            training, testing = (_run(backbone, images, mode) for mode in (True, False))
            break
        except Exception as error:
            failure = error
    else:
        raise Refusal(
            f'its own {kind} fails on images [B, 3, h, w]: {reason(failure)}'
        ) from failure
    levels = [_level(kind, each, images) for each in training]
    if levels != [_level(kind, each, images) for each in testing]:
        raise Refusal(
            f'its {kind} gives {len(levels)} maps in training and {len(testing)}, or '
            'others, in testing'
        )
    return levels


def _run(backbone: nn.Module, images: Tensor, training: bool) -> list | tuple:
    backbone.train(training)  # some return None here
    with torch.no_grad():
        outputs = backbone(images)
    return outputs if isinstance(outputs, list | tuple) else [outputs]


def _level(kind: str, output: object, images: Tensor) -> Level:
    """What one output of a backbone is."""
    if not isinstance(output, Tensor):
        raise Refusal(f'its {kind} gives nested outputs, not one per level')
    if output.ndim not in (2, 4) or len(output) != len(images):
        raise Refusal(
            f'its {kind} gives {list(output.shape)} of images {list(images.shape)}: '
            'neither maps [B, C, h, w] nor vectors [B, C]'
        )
    if output.ndim == 2:
        return Level(output.shape[1], None)
    if output.shape == images.shape:
        raise Refusal(f'its {kind} hands on the images themselves')
    sides = zip(images.shape[2:], output.shape[2:], strict=True)
    across = [image / ours for image, ours in sides]
    # Odd sizes are rounded differently: strides are meant to be powers of two.
    nearest = 2 ** round(torch.tensor(across).log2().mean().item())
    exact = all(0.8 < stride / nearest < 1.25 for stride in across)
    return Level(output.shape[1], nearest if exact else across[0])


def reason(error: Exception, limit: int = 160) -> str:
    """An exception in one line."""
    text = f'{type(error).__name__}: {str(error).strip()}'.split('\n')[0].rstrip(': ')
    return text if len(text) <= limit else f'{text[:limit]}…'
