"""What is probed: a checkpoint, a random initialization, or no network at all."""

import copy
from dataclasses import dataclass, field
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch import Tensor

from ..checkpoints.backbone import PREFIXES, choose_backbone
from ..checkpoints.files import read_checkpoint, resolve_checkpoint
from ..checkpoints.kept_config import check_buildable, parse_config
from ..checkpoints.loading import load_weights
from ..checkpoints.names import state_dict_of
from ..models import SAIP
from ..training.config import load_config
from .features import BASELINES, BackboneFeatures, BaselineFeatures, Features
from .objectives import draw_batches

RANDOM = 'random'
DEFAULT_SIZE = (256, 128)


@dataclass
class Subject:
    """What is probed.

    Attributes:
        features: Features of images and patches.
        model: Teacher and heads, for search and reconstruction.
        dataset: Config of the data set that ``model`` was trained on, whose views show
            what the heads expect.
        device: Where all this is.
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


def teacher_of(model: SAIP, dataset: dict) -> Subject:
    """The teacher of a model, with the heads, to be probed where it is.

    Args:
        model: Its data preprocessor says how images are normalized.
        dataset: Config of its training images.
    """
    normalize = model.data_preprocessor
    backbone = model.teacher['encoder'].backbone
    features = BackboneFeatures(backbone, normalize.mean, normalize.std)
    return Subject(features, model, dataset, normalize.mean.device)


def load_subject(
    source: str,
    config: str | Path | Config | None = None,
    device: torch.device | str = 'cpu',
) -> Subject:
    """Find what is to be probed.

    Args:
        source: A training checkpoint, a work directory, an exported backbone;
            ``'random'`` for the initialization of ``config``; or one of ``BASELINES``.
        config: Of the training. A file is run, as configs are. By default the one
            that the checkpoint holds, which is read as data: nothing of it is run.
        device: Where to probe.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a file cannot be read safely or does not hold a model.
    """
    if source in BASELINES:
        return _baseline(source, config)
    if source == RANDOM:
        if config is None:
            raise ValueError(f'{RANDOM}: give the config of the model, --config CONFIG')
        cfg = _read_config(config)
        return teacher_of(_build(cfg).to(device), cfg.train_dataloader.dataset)
    path = resolve_checkpoint(source)
    checkpoint = read_checkpoint(path)
    try:
        return _from_checkpoint(checkpoint, config, device)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def _baseline(name: str, config: str | Path | Config | None) -> Subject:
    size = DEFAULT_SIZE
    if config is not None:
        size = tuple(_read_config(config).model.backbone.img_size)
    return Subject(BaselineFeatures(name, size), no_heads=f'{name} is no network')


def _read_config(config: str | Path | Config) -> Config:
    cfg = config if isinstance(config, Config) else load_config(str(config), {})
    if cfg.get('model', {}).get('type') != 'SAIP' or 'train_dataloader' not in cfg:
        raise ValueError(
            f'{cfg.filename or "the config"}: is not a config of pretraining, with a '
            'model of type SAIP and a train_dataloader'
        )
    return cfg


def _build(cfg: Config) -> SAIP:
    """A model of a config, initialized as a training with its seed is (else 0)."""
    init_default_scope('mmpretrain')
    model_cfg = copy.deepcopy(cfg.model)
    model_cfg.backbone.pop('init_cfg', None)
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('WARNING')  # else a line per parameter
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(cfg.get('randomness', {}).get('seed') or 0)
            model = MODELS.build(model_cfg)
            model.init_weights()
    except (AttributeError, KeyError, TypeError) as error:  # of another version, say
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
) -> Subject:
    tensors = state_dict_of(checkpoint)
    no_heads = 'no heads'
    if any(name.startswith(PREFIXES['teacher']) for name in tensors):
        try:
            cfg = _config_within(checkpoint) if config is None else config
            cfg = _read_config(cfg)
        except ValueError as error:
            if config is not None:
                raise
            no_heads = f'{error}: give --config'
        else:
            return _with_heads(tensors, cfg, device)
    backbone = choose_backbone(checkpoint)
    vit = backbone.vit.to(device).eval()
    mean, std = (torch.tensor(x, device=device) for x in (backbone.mean, backbone.std))
    features = BackboneFeatures(vit, mean, std)
    return Subject(features, device=device, no_heads=no_heads)


def _config_within(checkpoint: dict) -> Config:
    """The config that a checkpoint holds as text.

    Raises:
        ValueError: If it holds none, or one that cannot be read as data.
    """
    text = checkpoint.get('meta', {}).get('cfg')
    if not isinstance(text, str):
        raise ValueError('the checkpoint does not hold its config')
    name = 'the config in the checkpoint'
    return check_buildable(parse_config(text, name), name)


def _with_heads(tensors: dict, cfg: Config, device: torch.device | str) -> Subject:
    model = _build(cfg)
    try:
        load_weights(model, tensors)
    except ValueError as error:
        name = cfg.filename or 'its config'
        raise ValueError(f'is not of the model of {name}: {error}') from error
    return teacher_of(model.to(device), cfg.train_dataloader.dataset)
