"""Configs with command-line options."""

import ast
import difflib
import inspect
import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from traceback import walk_tb

from mmengine.config import Config, DictAction
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import DATASETS, init_default_scope
from mmengine.runner import Runner
from mmengine.utils import is_installed

from ..data import PeopleDataset, PersonImages, ShardedImages
from ..data.concat import holds_people
from ..data.sharded_images import INDEX, PLAN
from .processes import add_launcher, set_launcher

# Settings that are not arguments of MMEngine's runner.
ALSO_READ = (
    'custom_imports',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'tta_model',
    'tta_pipeline',
)
# New values by dotted name, or pairs of both.
Options = Mapping[str, object] | Sequence[tuple[str, object]]
# Settings that are text even if missing or None in the config.
_TEXTS = ('ann_file', 'checkpoint', 'data_root', 'load_from', 'work_dir')


def parse_option(text: str) -> tuple[str, str]:
    """Split ``NAME=VALUE``; :func:`load_config` interprets the value."""
    name, equals, value = text.partition('=')
    if not name or not equals:
        raise ArgumentTypeError(
            f'{text}: should be NAME=VALUE; other arguments, such as a config, must '
            'precede --cfg-options'
        )
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
        'train_dataloader.batch_size=64. If the config has text, VALUE is text; '
        'otherwise a number, true, None, a [list], a (tuple), or text. '
        '\'"123"\' is always text',
    )


def add_run_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_config`, except for ``config``."""
    parser.add_argument(
        '--work-dir', help='folder for logs and results (default: work_dirs/CONFIG)'
    )
    add_options(parser)
    add_launcher(parser)


def run_config(args: Namespace) -> Config:
    """The config of a run, with the command line applied."""
    cfg = load_config(args.config, args.cfg_options)
    default = f'work_dirs/{Path(args.config).stem}'
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or default
    set_launcher(cfg, args)
    return cfg


def load_config(path: str, options: Options = ()) -> Config:
    """Read a config and replace some of its settings.

    Args:
        path: Config file.
        options: New values by dotted name, such as ``train_dataloader.batch_size``, as
            a dict or as pairs; text is interpreted as on the command line.

    Raises:
        OSError: If the file does not exist, or it cannot be read.
        ImportError: If the library of the config is not installed.
        KeyError: If the first part of an option is unknown. (Later parts are checked
            by the classes.)
        ValueError: If it is not a config, or an option cannot be interpreted.
    """
    cfg = _read(path)
    known = {*inspect.signature(Runner).parameters, *ALSO_READ}
    for option, value in dict(options).items():
        key = option.split('.')[0]
        if key in known:
            _replace(cfg, option, value)
            continue
        if key in cfg:
            raise KeyError(
                f'--cfg-options {option}: {key!r} is a variable of {path} that is '
                'already evaluated, so nothing would change; set what is made from it, '
                'or edit the config'
            )
        close = difflib.get_close_matches(key, known, n=1)
        hint = f'; did you mean {close[0]!r}?' if close else ''
        raise KeyError(f'--cfg-options {option}: unknown setting {key!r}{hint}')
    return cfg


def _read(path: str) -> Config:
    find_mmseg()
    if Path(path).is_dir():
        raise IsADirectoryError(f'{path} is a folder, not a config file')
    if not Path(path).is_file():
        kind = 'config file' if path.endswith('.py') else 'file or folder'
        raise FileNotFoundError(f'{path}: no such {kind}')
    try:
        return Config.fromfile(path)
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
    """Replace a setting; text is interpreted depending on the present value."""
    *path, last = option.split('.')
    try:
        parent = cfg
        for key in path:
            key = _index(parent, key)
            # Copied, because other settings may share the object.
            parent[key] = {} if parent[key] is None else copy(parent[key])
            parent = parent[key]
        last = _index(parent, last)
        if isinstance(value, str):
            so_far = parent[last]
            is_text = isinstance(so_far, str) or (so_far is None and last in _TEXTS)
            exact = is_text and value != 'None'
            parent[last] = _unquote(value) if exact else _interpret(value)
        else:
            parent[last] = value
    except (SyntaxError, ValueError) as error:
        raise ValueError(f'--cfg-options {option}={value}: {error}') from error


def _index(parent: object, key: str) -> int | str:
    """Index or key for a part of an option's name; missing keys are set to None."""
    if isinstance(parent, list):
        if key.isdigit() and int(key) < len(parent):
            return int(key)
        raise ValueError(f'{key!r} is not a position in a list of {len(parent)}')
    if not isinstance(parent, dict | Config):
        raise ValueError(f'{key!r} cannot be set in {parent!r}, which is not a dict')
    parent.setdefault(key, None)
    return key


def _interpret(text: str) -> object:
    """A literal of Python, or a list, a tuple or text without quotes.

    The latter are read as by MMEngine's ``DictAction``.
    """
    text = text.strip()
    if text.startswith('dict('):
        raise ValueError("write a dict as {'key': value}, or set NAME.KEY=VALUE")
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        if text.startswith('{'):
            raise
    else:
        if text.startswith('('):  # (4) is a tuple, as in MMEngine
            return value if isinstance(value, tuple) else (value,)
        return list(value) if isinstance(value, tuple) else value
    unbalanced = any(text.count(a) != text.count(b) for a, b in ('()', '[]'))
    if unbalanced or text.startswith(('"', "'")):
        raise ValueError('a bracket or a quote is not closed')
    if not re.search(r'[\[(,]', text):
        return DictAction._parse_int_float_bool(text)
    if re.search(r'[^\s,(\[]\s+[^\s,)\]]', text):
        raise ValueError("put text with spaces in quotes, as in ['a b', 'c']")
    return DictAction._parse_iterable(text)


def _unquote(text: str) -> str:
    """Text without surrounding quotes."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in '\'"':
        inner = text[1:-1]
        return text if text[0] in inner else inner
    return text


def training_images(source: str, options: Options = ()) -> PeopleDataset:
    """The training images of a config, or the images of a folder.

    Args:
        source: Config file, folder of images, list of images (relative to its own
            folder), or folder of shards.
        options: New values of the config, as for :func:`load_config`.
    """
    if any(Path(source, name).is_file() for name in (INDEX, PLAN)):
        return ShardedImages(source)
    if Path(source).is_dir():
        return PersonImages(source)
    if source.endswith('.txt'):
        return PersonImages(str(Path(source).parent), Path(source).name)
    cfg = load_config(source, options)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    dataset = dict(cfg.get('train_dataloader') or {}).get('dataset') or {}
    if not holds_people(dataset):
        raise ValueError(
            f'{source}: train_dataloader.dataset has type {dataset.get("type")}; it '
            'should be a data set of person images, such as PersonImages'
        )
    return DATASETS.build(dict(dataset, pipeline=[]))


def find_mmseg() -> None:
    """Let ``_base_ = 'mmseg::…'`` find MMSegmentation's fork as well.

    MMEngine looks for a distribution called mmsegmentation. The fork has another
    name and is found by its module.
    """
    if not is_installed('mmsegmentation'):
        MODULE2PACKAGE['mmseg'] = 'mmseg'
