"""Configs as the command line changes them."""

import difflib
import inspect
from argparse import ArgumentError, ArgumentParser, Namespace
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import DATASETS, init_default_scope
from mmengine.runner import Runner
from mmengine.utils import is_installed

from ..datasets import PeopleDataset, PersonImages, ShardedImages
from ..datasets.sharded_images import INDEX, PLAN

# Settings that are read without their being arguments of MMEngine's runner.
ALSO_READ = (
    'custom_imports',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'tta_model',
    'tta_pipeline',
)


class _Options(DictAction):
    """MMEngine's, with a message for what it cannot read."""

    def __call__(
        self,
        parser: ArgumentParser,
        namespace: Namespace,
        values: list[str],
        option_string: str | None = None,
    ) -> None:
        try:
            super().__call__(parser, namespace, values, option_string)
        except (ValueError, AssertionError, RecursionError) as error:
            raise ArgumentError(
                self,
                f'{" ".join(values)}: should be NAME=VALUE, each VALUE a number, a '
                'word, a [list] or a (tuple); give the entries of a dict one by one, '
                'NAME.KEY=VALUE',
            ) from error


def add_options(parser: ArgumentParser) -> None:
    """Let a tool take ``--cfg-options``, for :func:`load_config`."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=_Options,
        default={},
        metavar='NAME=VALUE',
        help='settings that replace those of the config, such as '
        'train_dataloader.batch_size=64',
    )


def load_config(path: str, options: dict) -> Config:
    """Read a config and replace some of its settings.

    Args:
        path: Config file.
        options: New values by dotted name, such as ``train_dataloader.batch_size``.

    Raises:
        FileNotFoundError: If there is no such file.
        ModuleNotFoundError: If the library of the config is not installed.
        KeyError: If an option does not begin with what MMEngine's runner takes. (What
            comes after is up to the classes to know.)
    """
    find_mmseg()
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: there is no such config file')
    try:
        cfg = Config.fromfile(path)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'{path}: {error}. `tools/install.sh complete` installs MMDetection, '
            'MMPose and MMSegmentation into .venv'
        ) from error
    known = {*inspect.signature(Runner).parameters, *ALSO_READ}
    for option in options:
        key = option.split('.')[0]
        if key in known:
            continue
        if key in cfg:
            raise KeyError(
                f'--cfg-options {option}: {key!r} is a name that {path} gives to a '
                'value for itself, so nothing would change; set what is made of it, or '
                'edit the config'
            )
        close = difflib.get_close_matches(key, known, n=1)
        hint = f'; did you mean {close[0]!r}?' if close else ''
        raise KeyError(f'--cfg-options {option}: there is no setting {key!r}{hint}')
    cfg.merge_from_dict(options)
    return cfg


def training_images(source: str, options: dict) -> PeopleDataset:
    """The images that a config trains with, or those of a folder.

    Args:
        source: Config file, folder of images, list of images (relative to its own
            folder), or folder of shards.
        options: New values of the config by dotted name.

    Raises:
        OSError: If there is no such source, or nothing in it.
        ValueError: If it trains with anything else.
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
    with DATASETS.switch_scope_and_registry(None) as registry:
        kind = dataset.get('type')
        kind = registry.get(kind) if isinstance(kind, str) else kind
    if not (isinstance(kind, type) and issubclass(kind, PeopleDataset)):
        raise ValueError(
            f'{source}: train_dataloader.dataset is of type {dataset.get("type")}, and '
            'should be one of images of people, such as PersonImages'
        )
    return DATASETS.build(dict(dataset, pipeline=[]))


def find_mmseg() -> None:
    """Let ``_base_ = 'mmseg::…'`` find MMSegmentation's fork as well.

    MMEngine looks for a distribution called mmsegmentation. That of the fork has
    another name, and is found by its module.
    """
    if not is_installed('mmsegmentation'):
        MODULE2PACKAGE['mmseg'] = 'mmseg'
