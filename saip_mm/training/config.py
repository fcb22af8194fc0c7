"""Configs with command-line options."""

import ast
import difflib
import os
import pickle
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import copy
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from traceback import walk_tb
from unittest import mock

from mmengine.config import Config, DictAction
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import DATASETS, init_default_scope
from mmengine.utils import is_installed

from ..data import PeopleDataset, PersonImages, ShardedImages
from ..data.concat import holds_people
from ..data.configs import parts_of
from ..data.sharded_images import INDEX, PLAN
from .processes import add_launcher, set_launcher
from .settings import SETTINGS, check_settings

# For `_base_ = 'saip_mm::…'`, in installations with configs (a clone is not one).
MODULE2PACKAGE['saip_mm'] = 'saip_mm'
# New values by dotted name, as a mapping or as pairs.
Options = Mapping[str, object] | Sequence[tuple[str, object]]


def parse_option(text: str) -> tuple[str, str]:
    """Split ``NAME=VALUE``; :func:`load_config` interprets the value."""
    name, equals, value = text.partition('=')
    if not name or not equals:
        raise ArgumentTypeError(
            f'{text}: should be NAME=VALUE; other arguments, such as a config, must '
            'precede --cfg-options'
        )
    if 'dict(' in value:  # MMEngine recurses infinitely, or takes it for text
        raise ArgumentTypeError(f"{text}: write a dictionary as {{'type': 'HAP'}}")
    return name, value


def add_options(parser: ArgumentParser) -> None:
    """Add ``--cfg-options``, for :func:`load_config`."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        type=parse_option,
        default=[],
        metavar='NAME=VALUE',
        help='settings that override the config, such as '
        'train_dataloader.batch_size=64. If the config has text, VALUE is text or '
        'None; otherwise a number, true, None, a [list], a (tuple), or text',
    )


def add_run_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_config`, except for ``config``."""
    parser.add_argument(
        '--work-dir',
        help='folder for logs and results (default: work_dir of the config, or '
        'work_dirs/CONFIG)',
    )
    add_options(parser)
    add_launcher(parser)


def run_config(args: Namespace) -> Config:
    """The config of a run, with the command line applied."""
    _import_yapf()
    cfg = load_config(args.config, args.cfg_options)
    default = f'work_dirs/{Path(args.config).stem}'
    work_dir = args.work_dir or cfg.get('work_dir') or default
    cfg.work_dir = os.path.expanduser(work_dir)
    set_launcher(cfg, args)
    return cfg


def _import_yapf() -> None:
    """Import yapf, with which MMEngine formats the config for the log.

    yapf caches its grammar in a file. If that file is incomplete, because another
    process is writing it or the disk was full, another cache is used.
    """
    try:
        import_module('yapf')
    except (EOFError, pickle.UnpicklingError):
        with (
            TemporaryDirectory() as folder,
            mock.patch.dict(os.environ, XDG_CACHE_HOME=folder),
        ):
            import_module('yapf')


def load_config(path: str, options: Options = ()) -> Config:
    """Read a config and replace some of its settings.

    Args:
        path: Config file.
        options: New values by dotted name, such as ``train_dataloader.batch_size``, as
            a dict or as pairs; text is interpreted as on the command line.

    Raises:
        OSError: If the file does not exist or cannot be read.
        ImportError: If a library that the config needs is not installed.
        KeyError: If the first part of an option is not a setting. (Later parts are
            checked by the classes.)
        ValueError: If it is not a config, an option cannot be interpreted, or a setting
            would be ignored or misread.
    """
    cfg = _read(path)
    for option, value in dict(options).items():
        key = option.split('.')[0]
        if key in SETTINGS:
            _replace(cfg, option, value)
            continue
        if key in cfg:
            raise KeyError(
                f'--cfg-options {option}: {key!r} is a variable of {path} that is '
                'already evaluated, so nothing would change; set what is made from it, '
                'or edit the config'
            )
        close = difflib.get_close_matches(key, SETTINGS, n=1)
        hint = f'; did you mean {close[0]!r}?' if close else ''
        raise KeyError(f'--cfg-options {option}: unknown setting {key!r}{hint}')
    check_settings(path, cfg)
    return cfg


def _read(path: str) -> Config:
    register_mmseg()
    if Path(path).is_dir():
        raise IsADirectoryError(f'{path} is a folder, not a config file')
    if not Path(path).is_file():
        kind = 'config file' if path.endswith('.py') else 'file or folder'
        raise FileNotFoundError(f'{path}: no such {kind}')
    try:
        cfg = Config.fromfile(path)
        # MMEngine gives this scope to settings of `saip_mm::…`. It does not exist: the
        # package registers its classes in other libraries.
        for part in parts_of(cfg._cfg_dict):
            if part.get('_scope_') == 'saip_mm':
                del part['_scope_']
        return cfg
    except ImportError as error:
        raise ModuleNotFoundError(
            f'{path}: {error}. `tools/install.sh complete` installs MMDetection, '
            'MMPose and MMSegmentation into .venv'
        ) from error
    except Exception as error:  # configs are code and may raise anything
        lines = [
            f' (line {line} of {frame.f_code.co_filename})'
            for frame, line in walk_tb(error.__traceback__)
            if '_base_' in frame.f_globals
        ]
        hint = ''
        if isinstance(error, UnicodeDecodeError) or 'U+FEFF' in str(error):
            hint = '; save it and its bases as UTF-8 without a byte-order mark'
        raise ValueError(
            f'{path} cannot be read as a config: {type(error).__name__}: {error}'
            f'{"".join(lines[-1:])}{hint}'
        ) from error


def _replace(cfg: Config, option: str, value: object) -> None:
    """Replace a setting; text is interpreted, unless the present value is text.

    ``None`` is always interpreted.
    """
    parent, (*path, last) = cfg, option.split('.')
    try:
        for key in path:
            key, inner = _find(parent, key)
            # Copied, because other settings may share the object.
            parent[key] = {} if inner is None else copy(inner)
            parent = parent[key]
        key, so_far = _find(parent, last)
        is_text = isinstance(so_far, str) and value != 'None'
        is_read = is_text or not isinstance(value, str)
        parent[key] = value if is_read else _interpret(value)
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise ValueError(
            f'--cfg-options {option}: {last!r} cannot be set in {parent!r}'
        ) from error


def _find(parent: dict | list, key: str) -> tuple[int | str, object]:
    """The key or index for a part of an option's name, and the value there."""
    if isinstance(parent, list):
        return int(key), parent[int(key)]
    return key, parent.get(key)


def _interpret(text: str) -> object:
    """A Python literal, or a list, a tuple or a word without quotes."""
    with suppress(SyntaxError, ValueError):
        value = ast.literal_eval(text)
        return list(value) if isinstance(value, tuple) and text[0] != '(' else value
    if text[:1] + text[-1:] in ('[]', '()'):
        return DictAction._parse_iterable(text)
    return DictAction._parse_int_float_bool(text)


def training_images(source: str, options: Options = ()) -> PeopleDataset:
    """The training images of a config, or the images of a folder.

    Args:
        source: Config file, folder of images, list of images (relative to its own
            folder), or folder of shards.
        options: New values of the config, as for :func:`load_config`.

    Raises:
        OSError: If files do not exist or cannot be read, or there are no images.
        ValueError: If a config has no images of people, files are malformed, or there
            are options for another source; otherwise as for :func:`load_config`.
    """
    images = _images_at(source)
    if images is not None:
        if options:
            raise ValueError(
                f'{source} is not a config, which --cfg-options could change: omit '
                'them, or give a config instead'
            )
        return images
    cfg = load_config(source, options)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    dataset = dict(cfg.get('train_dataloader') or {}).get('dataset') or {}
    if not holds_people(dataset):
        raise ValueError(
            f'{source}: train_dataloader.dataset has type {dataset.get("type")}; it '
            'should be a data set of person images, such as PersonImages'
        )
    return DATASETS.build(dict(dataset, pipeline=[]))


def _images_at(source: str) -> PeopleDataset | None:
    """The images of shards, a folder or a list; None for a config."""
    packed = Path(source, INDEX).is_file() and any(Path(source).glob('*.bin'))
    if packed or Path(source, PLAN).is_file():
        return ShardedImages(source)
    if Path(source).is_dir():
        return PersonImages(source)
    if source.endswith('.txt'):
        return PersonImages(str(Path(source).parent), Path(source).name)
    return None


def register_mmseg() -> None:
    """Let ``_base_ = 'mmseg::…'`` find MMSegmentation's fork as well.

    MMEngine looks for a distribution called mmsegmentation. The fork has another
    name and is found by its module.
    """
    if not is_installed('mmsegmentation'):
        MODULE2PACKAGE['mmseg'] = 'mmseg'
