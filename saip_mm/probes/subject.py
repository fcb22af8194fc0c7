"""What is probed: a checkpoint, a random initialisation, or no network at all."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch import Tensor

from ..apis import build_vit
from ..engine.backbone import PREFIXES, choose_backbone, colours
from ..engine.checkpoint import load_weights, read_checkpoint, resolve_checkpoint
from ..engine.convert import state_dict_of
from ..models import SAIP
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
        model: Its data preprocessor says how images are normalised.
        dataset: Config of its training images.
    """
    normalise = model.data_preprocessor
    backbone = model.teacher['encoder'].backbone
    features = BackboneFeatures(backbone, normalise.mean, normalise.std)
    return Subject(features, model, dataset, normalise.mean.device)


def load_subject(
    source: str, config: str | Path | None = None, device: torch.device | str = 'cpu'
) -> Subject:
    """Find what is to be probed.

    Args:
        source: A training checkpoint, a work directory, an exported backbone;
            ``'random'`` for the initialisation of ``config``; or one of ``BASELINES``.
        config: Of the training. By default the one that lies beside the checkpoint.
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
        return _from_checkpoint(checkpoint, config or _config_beside(path), device)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def _baseline(name: str, config: str | Path | None) -> Subject:
    size = DEFAULT_SIZE
    if config is not None:
        size = tuple(_read_config(config).model.backbone.img_size)
    return Subject(BaselineFeatures(name, size), no_heads=f'{name} is no network')


def _read_config(path: str | Path) -> Config:
    cfg = Config.fromfile(path)
    if cfg.get('model', {}).get('type') != 'SAIP' or 'train_dataloader' not in cfg:
        raise ValueError(
            f'{path}: is not a config of pretraining, with a model of type SAIP and a '
            'train_dataloader'
        )
    return cfg


def _config_beside(checkpoint: Path) -> Path | None:
    """The config that MMEngine wrote into the work directory, if there is one.

    A checkpoint holds its config as well, as a program: that one is never run.
    """
    configs = sorted(checkpoint.parent.glob('*.py'))
    return configs[0] if len(configs) == 1 else None


def _build(cfg: Config) -> SAIP:
    """A model of a config, initialised at random but always the same."""
    init_default_scope('mmpretrain')
    cfg.model.backbone.pop('init_cfg', None)
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('WARNING')  # else a line per parameter
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = MODELS.build(cfg.model)
            model.init_weights()
    finally:
        logger.setLevel(level)
    return model.eval()


def _from_checkpoint(
    checkpoint: dict, config: str | Path | None, device: torch.device | str
) -> Subject:
    tensors = state_dict_of(checkpoint)
    has_teacher = any(name.startswith(PREFIXES['teacher']) for name in tensors)
    if has_teacher and config is not None:
        cfg = _read_config(config)
        model = _build(cfg)
        try:
            load_weights(model, tensors)
        except ValueError as error:
            raise ValueError(f'is not of the model of {config}: {error}') from error
        return teacher_of(model.to(device), cfg.train_dataloader.dataset)
    weights, _ = choose_backbone(checkpoint)
    vit = build_vit(weights).to(device).eval()
    normalisation = {
        name: torch.tensor(values, dtype=torch.float, device=device)
        for name, values in colours(checkpoint, weights).items()
    }
    features = BackboneFeatures(vit, **normalisation)
    reason = 'beside it is not one config: give --config' if has_teacher else 'no heads'
    return Subject(features, device=device, no_heads=reason)
