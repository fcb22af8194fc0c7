"""Stock configs, and the feature levels of their backbones."""

import copy
import difflib
import importlib
import inspect
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from ...data.configs import parts_of
from ...training.config import register_mmseg

LIBRARIES = dict(
    mmpose='MMPose',
    mmdet='MMDetection',
    mmseg='MMSegmentation',
    mmpretrain='MMPretrain',
)
# Substrings of the names of model parts that need more than image features.
_BEYOND_IMAGES = ('language', 'lang_', 'text', 'tokenizer', 'multimodal', 'track')
# Settings of transforms that determine the image size, most reliable first, and whether
# they are (w, h).
_SIZES = dict(input_size=True, crop_size=False, scale=True)
_DEFAULT_SIZES = dict(mmpose=(256, 192), mmseg=(512, 512))
MAX_REASON = 160  # characters


class Refusal(ValueError):
    """The backbone of a config cannot be replaced; the message states the reason."""


@dataclass
class Stock:
    """A config to inherit from.

    Attributes:
        name: Name as given by the user.
        base: Value of ``_base_`` as Python source.
        library: Import name of the library.
        cfg: The config.
    """

    name: str
    base: str
    library: str
    cfg: Config

    @property
    def model(self) -> dict:
        return self.cfg.model

    @property
    def wrapper(self) -> dict:
        """``optim_wrapper``; empty if there is none."""
        return self.cfg.get('optim_wrapper') or {}

    @property
    def preprocessor(self) -> dict:
        """``data_preprocessor`` of the model or, as in MMEngine, of the config."""
        key = 'data_preprocessor'
        return self.model.get(key) or self.cfg.get(key) or {}

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of training images in pixels; a default if the pipeline states none.

        ``SAIPViT`` resizes its position embeddings for images of other sizes.
        """
        if self.library == 'mmdet':
            resized = [s for s in self.transforms() if s['type'] == 'Resize']
            fixed = [s.get('scale') for s in resized if not s.get('keep_ratio')]
            return _pair(fixed and fixed[0], True) or (800, 1344)  # of many sizes
        for key, width_first in _SIZES.items():
            for step in self.transforms():
                if pair := _pair(step.get(key), width_first):
                    return pair
        return _DEFAULT_SIZES.get(self.library, (224, 224))

    @property
    def trial_size(self) -> tuple[int, int]:
        """(h, w) of the images of the trial, which may be smaller."""
        if self.library == 'mmseg':
            return 128, 128
        return self.size if max(self.size) <= 512 else (256, 256)

    @cached_property
    def backbone(self) -> nn.Module:
        """The untrained backbone; a Refusal if it does not build."""
        cfg = without_weights(self.model['backbone'])
        cfg.pop('init_cfg', None)
        try:
            return MODELS.build(cfg)
        except Exception as error:
            raise Refusal(
                f'its own backbone {cfg.get("type")} does not build here: '
                f'{reason(error)}'
            ) from error

    @property
    def is_frozen(self) -> bool:
        """Whether nothing of the backbone is trained, as in linear evaluations."""
        return not any(p.requires_grad for p in self.backbone.parameters())

    def transforms(self) -> Iterator[dict]:
        """All transforms of the training data, including nested ones."""
        data = (self.cfg.get('train_dataloader') or {}).get('dataset', {})
        return (part for part in parts_of(data) if 'type' in part)


@dataclass(frozen=True)
class Level:
    """An output of a backbone; ``stride`` is None for a vector [B, channels]."""

    channels: int
    stride: float | None


def _pair(value: object, width_first: bool) -> tuple[int, int] | None:
    """(h, w) of a setting; None if it is not a size in pixels."""
    sides = (value, value) if type(value) is int else value
    if not isinstance(sides, list | tuple) or len(sides) != 2:
        return None
    if not all(type(side) is int and side >= 32 for side in sides):
        return None
    return tuple(sides[::-1] if width_first else sides)


def read_stock(name: str, out: Path) -> Stock:
    """Read a config, ``library::path`` or a file, that ``out`` will inherit.

    Raises:
        Refusal: If the config or its library does not exist or cannot be read, or if
            the model has no image backbone.
    """
    path, base = _locate(name, out)
    register_mmseg()
    try:
        # MMEngine recognizes pure Python configs by the text of the file.
        lazy = Config._is_lazy_import(str(path))
        cfg = None if lazy else Config.fromfile(path)
    except Exception as error:  # configs are code and may raise anything
        raise Refusal(f'cannot be read here: {reason(error)}') from error
    if lazy:
        raise Refusal(
            'is a pure Python config (read_base), which a text config cannot inherit; '
            "inherit one of the library's text configs"
        )
    library = cfg.get('default_scope', name.partition('::')[0] * ('::' in name))
    if library not in LIBRARIES:
        raise Refusal(
            f'has default_scope={library!r}, not one of {", ".join(LIBRARIES)}'
        )
    _check_installed(library)
    _check_model(cfg.get('model'))
    init_default_scope(library)
    importlib.import_module(f'{library}.utils').register_all_modules(False)
    return Stock(name, base, library, cfg)


def config_folder(library: str) -> Path:
    """Folder of the configs that a library ships."""
    register_mmseg()
    return Path(find_spec(library).submodule_search_locations[0], '.mim/configs')


def _locate(name: str, out: Path) -> tuple[Path, str]:
    """The file of a config, and its ``_base_`` expression."""
    library, found, inner = name.partition('::')
    if not found:
        path = Path(name)
        if not path.is_file():
            raise Refusal('no such file')
        base, whole = os.path.relpath(path, out.parent), path.resolve()
        # MMEngine drops `x/..` from paths, which leads elsewhere where x is a link.
        same = base == os.path.relpath(whole, out.parent.resolve())
        return path, repr(base if same and not path.is_absolute() else str(whole))
    if library not in LIBRARIES:
        raise Refusal(f'{library!r} is not one of {", ".join(LIBRARIES)}')
    _check_installed(library)
    configs = config_folder(library)
    path = configs / inner
    if not path.is_file():
        known = [str(each.relative_to(configs)) for each in configs.rglob('*.py')]
        close = difflib.get_close_matches(inner, known, n=1)
        hint = f'; did you mean {library}::{close[0]}?' if close else ''
        raise Refusal(f'{LIBRARIES[library]} has no such config{hint}')
    if library == 'mmseg' or re.match(r'\w+::\w+/', name) is None:
        # MMSegmentation's launcher resolves 'mmseg::…' for upstream's package only, and
        # MMEngine resolves no folders such as gn+ws.
        return path, f'f"{{__import__({library!r}).__path__[0]}}/.mim/configs/{inner}"'
    return path, repr(name)


def _check_installed(library: str) -> None:
    if find_spec(library) is None:
        raise Refusal(
            f'{LIBRARIES[library]} ({library}) is not installed: `make test` in a '
            'clone of saip_mm installs it'
        )


def _check_model(model: dict | None) -> None:
    """Raise Refusal unless the model has an image backbone and a head."""
    if not model:
        raise Refusal('has no model: it is a part of other configs')
    kind = model.get('type')
    for key in model:
        if any(part in key for part in _BEYOND_IMAGES):
            raise Refusal(f'{kind} needs more than images: it has a {key}')
        if 'teacher' in key:
            raise Refusal(f'{kind} learns from a trained teacher ({key})')
    if not isinstance(model.get('backbone'), dict):
        parts = ', '.join(key for key, part in model.items() if isinstance(part, dict))
        raise Refusal(f'{kind} has no backbone, only {parts or "nothing"}')
    if not any(key.endswith('head') and model[key] for key in model):
        raise Refusal(f'{kind} has no head, so there is nothing to train')


def without_weights(config: dict) -> dict:
    """A copy of a config without weights to load or to download."""
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
    """Run the untrained backbone on noise to determine its outputs.

    Raises:
        Refusal: If it does not build, does not take images alone, returns anything but
            maps or vectors, or returns different levels in training and testing.
    """
    backbone, kind = stock.backbone, f'backbone {stock.model["backbone"].get("type")}'
    more = list(inspect.signature(backbone.forward).parameters)[1:]
    if more:
        raise Refusal(f'its {kind} takes {", ".join(more)} besides images')
    images = torch.randn(2, 3, *stock.trial_size)
    found = []
    for training in (True, False):
        backbone.train(training)  # returns None in some backbones
        try:
            with torch.no_grad():
                outputs = backbone(images)
        except Exception as error:
            raise Refusal(
                f'its own {kind} fails on images [B, 3, h, w]: {reason(error)}'
            ) from error
        outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
        found.append([_level(kind, output, images) for output in outputs])
    training, testing = found
    if training != testing:
        raise Refusal(
            f'its {kind} returns {len(training)} maps in training but '
            f'{len(testing)}, or different ones, in testing'
        )
    return training


def _level(kind: str, output: object, images: Tensor) -> Level:
    """Channels and stride of an output of the backbone."""
    if not isinstance(output, Tensor):
        raise Refusal(f'its {kind} returns nested outputs, not one per level')
    if output.ndim not in (2, 4) or len(output) != len(images):
        raise Refusal(
            f'its {kind} returns {list(output.shape)} for images {list(images.shape)}: '
            'neither maps [B, C, h, w] nor vectors [B, C]'
        )
    if output.ndim == 2:
        return Level(output.shape[1], None)
    if output.shape == images.shape:
        raise Refusal(f'its {kind} returns the images themselves')
    sides = zip(images.shape[2:], output.shape[2:], strict=True)
    strides = [image / side for image, side in sides]
    # Maps of odd sizes are rounded; the strides are meant to be powers of two.
    nearest = 2 ** round(torch.tensor(strides).log2().mean().item())
    exact = all(0.8 < stride / nearest < 1.25 for stride in strides)
    return Level(output.shape[1], nearest if exact else strides[0])


def reason(error: Exception) -> str:
    """An exception in one line."""
    text = f'{type(error).__name__}: {str(error).strip()}'.split('\n')[0].rstrip(': ')
    return text if len(text) <= MAX_REASON else f'{text[:MAX_REASON]}…'
