"""Subjects of probes: a checkpoint, a random initialization, or a baseline."""

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger, print_log
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from rich.progress import track
from torch import Tensor

from ..checkpoints.backbone import PREFIXES, choose_backbone
from ..checkpoints.files import open_checkpoint, state_dict_of
from ..checkpoints.kept_config import check_buildable, parse_config
from ..models import SAIP
from ..models.weights import load_weights
from ..training.config import load_config
from .features import (
    BASELINES,
    BackboneFeatures,
    BaselineFeatures,
    Embedded,
    Features,
    embed,
)
from .objectives import draw_batches
from .stock import StockFeatures, stock_model, stock_vit

RANDOM = 'random'
DEFAULT_SIZE = (256, 128)


@dataclass
class Subject:
    """Subject of probes.

    Attributes:
        features: Features of images and patches.
        model: Teacher and heads, for search and reconstruction.
        dataset: Config of the training data of ``model``, for views as its heads expect
            them.
        device: Device of features and model.
        no_heads: Why search and reconstruction cannot be probed.
    """

    features: Features
    model: SAIP | None = None
    dataset: dict | None = None
    device: torch.device | str = 'cpu'
    no_heads: str = ''
    _views: dict[int, list[dict[str, Tensor]]] = field(default_factory=dict, repr=False)

    def views(self, num_people: int) -> list[dict[str, Tensor]]:
        """Batches of training views of new people, drawn once."""
        if num_people not in self._views:
            self._views[num_people] = draw_batches(self.dataset, num_people)
        return self._views[num_people]

    def embed(
        self, images: Sequence[str | os.PathLike | np.ndarray], patches: bool = False
    ) -> Embedded:
        """Features of files or RGB images, uint8 [h, w, 3]; see :func:`embed`."""
        images = track(images, 'Embedding images', transient=True)
        return embed(self.features, images, patches, self.device)


def log(text: str) -> None:
    """Log a line about a probe, or print it where nothing logs."""
    print_log(text, logger='current')


def subject_of(model: SAIP, dataset: dict, role: str | None = None) -> Subject:
    """The teacher or the student of a model, with the heads, on the model's device.

    Args:
        model: Its data preprocessor defines the normalization.
        dataset: Config of its training images.
        role: ``'teacher'`` (default) or ``'student'``; heads read the teacher anyway.
    """
    preprocessor = model.data_preprocessor
    teacher = model.teacher['encoder'].backbone
    backbone = model.backbone if role == 'student' else teacher
    features = BackboneFeatures(backbone, preprocessor.mean, preprocessor.std)
    return Subject(features, model, dataset, preprocessor.mean.device)


def load_subject(
    source: str,
    config: str | Path | Config | None = None,
    device: torch.device | str = 'cpu',
    role: str | None = None,
) -> Subject:
    """Load the subject of probes.

    Args:
        source: A training checkpoint, a work directory, an exported backbone;
            ``'random'`` for the initialization of ``config``; or one of ``BASELINES``.
        config: Config of the training; a file is executed, as configs are. By default
            the one in the checkpoint, which is read as data without executing it.
        device: Device to probe on.
        role: ``'teacher'`` (default) or ``'student'`` of a training checkpoint.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If a file cannot be read safely or contains no model.
    """
    if source in BASELINES:
        return _baseline(source, config)
    if source == RANDOM:
        if config is None:
            raise ValueError(f'{RANDOM}: give the config of the model, --config CONFIG')
        cfg = _read_config(config)
        return subject_of(_build(cfg).to(device), cfg.train_dataloader.dataset)
    with open_checkpoint(source) as (_, checkpoint):
        return _from_checkpoint(checkpoint, config, device, role)


def _baseline(name: str, config: str | Path | Config | None) -> Subject:
    size = DEFAULT_SIZE
    if config is not None:
        size = tuple(_read_config(config).model.backbone.img_size)
    return Subject(BaselineFeatures(name, size), no_heads=f'{name} is not a network')


def _read_config(config: str | Path | Config) -> Config:
    cfg = config if isinstance(config, Config) else load_config(str(config), {})
    if cfg.get('model', {}).get('type') != 'SAIP' or 'train_dataloader' not in cfg:
        raise ValueError(
            f'{cfg.filename or "the config"}: is not a pretraining config, with a '
            'model of type SAIP and a train_dataloader'
        )
    return cfg


def _build(cfg: Config) -> SAIP:
    """Model of a config, initialized as in training with its seed (default 0)."""
    init_default_scope('mmpretrain')
    model_cfg = copy.deepcopy(cfg.model)
    model_cfg.backbone.pop('init_cfg', None)
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('WARNING')  # otherwise a line per parameter
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(cfg.get('randomness', {}).get('seed') or 0)
            model = MODELS.build(model_cfg)
            model.init_weights()
    except (
        AttributeError,
        KeyError,
        TypeError,
    ) as error:  # for example of another version
        raise ValueError(
            f'the model of {cfg.filename or "its config"} cannot be built: {error}'
        ) from error
    finally:
        logger.setLevel(level)
    return model.eval()


def _from_checkpoint(
    checkpoint: dict,
    config: str | Path | Config | None,
    device: torch.device | str,
    role: str | None,
) -> Subject:
    tensors = state_dict_of(checkpoint)
    checkpoint = dict(state_dict=tensors, meta=checkpoint.get('meta', {}))
    no_heads, backbone = 'no heads', None
    if any(name.startswith(PREFIXES['teacher']) for name in tensors):
        try:
            cfg = _config_within(checkpoint) if config is None else config
            cfg = _read_config(cfg)
        except ValueError as error:
            if config is not None:
                raise
            no_heads = f'{error}: give --config'
        else:
            return _with_heads(tensors, cfg, device, role)
    elif (cfg := _stock_config(config)) is not None:
        model = stock_model(cfg, tensors)
        backbone = stock_vit(model, checkpoint)
        if backbone is None:
            features = StockFeatures(model.to(device), cfg.train_dataloader.dataset)
            return Subject(features, device=device, no_heads=no_heads)
    backbone = backbone or choose_backbone(checkpoint, role)
    module = backbone.build()[0].to(device).eval()
    mean, std = (torch.tensor(x, device=device) for x in (backbone.mean, backbone.std))
    features = BackboneFeatures(module, mean, std)
    return Subject(features, device=device, no_heads=no_heads)


def _stock_config(config: str | Path | Config | None) -> Config | None:
    """The config, if it is that of another algorithm than SAIP."""
    if config is None:
        return None
    cfg = config if isinstance(config, Config) else load_config(str(config))
    return None if cfg.get('model', {}).get('type') == 'SAIP' else cfg


def _config_within(checkpoint: dict) -> Config:
    """The config stored in a checkpoint as text.

    Raises:
        ValueError: If there is none, or it cannot be read as data.
    """
    text = checkpoint.get('meta', {}).get('cfg')
    if not isinstance(text, str):
        raise ValueError('the checkpoint does not contain its config')
    name = 'the config in the checkpoint'
    return check_buildable(parse_config(text, name), name)


def _with_heads(
    tensors: dict, cfg: Config, device: torch.device | str, role: str | None
) -> Subject:
    model = _build(cfg)
    try:
        load_weights(model, tensors)
    except ValueError as error:
        name = cfg.filename or 'its config'
        raise ValueError(f'does not fit the model of {name}: {error}') from error
    return subject_of(model.to(device), cfg.train_dataloader.dataset, role)
