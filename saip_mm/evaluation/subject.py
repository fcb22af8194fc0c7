"""Subjects of probes: a checkpoint, a random initialization, or a baseline."""

import copy
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger, print_log
from mmengine.registry import init_default_scope
from mmpretrain.models import BaseSelfSupervisor
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.registry import MODELS
from rich.progress import track
from torch import Tensor

from ..checkpoints.backbone import choose_backbone
from ..checkpoints.buildable import check_buildable
from ..checkpoints.files import open_checkpoint, state_dict_of
from ..checkpoints.kept_config import parse_config
from ..checkpoints.names import PREFIXES
from ..data.configs import type_name
from ..data.images import read_batches
from ..models import SAIP
from ..models.weights import load_weights
from ..training.config import load_config
from .features import (
    BASELINES,
    PATCH_SIZE,
    BackboneFeatures,
    BaselineFeatures,
    Embedded,
    StockFeatures,
    stated_size,
)
from .objectives import draw_batches

RANDOM = 'random'
Device = torch.device | str


@dataclass
class Subject:
    """Subject of probes."""

    features: BackboneFeatures | StockFeatures | BaselineFeatures
    model: SAIP | None = None  # teacher and heads, for search and reconstruction
    dataset: dict | None = None  # config of its training data, for views
    device: Device = 'cpu'
    no_heads: str = 'no heads'  # why search and reconstruction cannot be probed
    _views: dict[int, list[dict[str, Tensor]]] = field(default_factory=dict, repr=False)

    def views(self, num_people: int) -> list[dict[str, Tensor]]:
        """Batches of training views of new people, drawn once."""
        if num_people not in self._views:
            self._views[num_people] = draw_batches(self.dataset, num_people)
        return self._views[num_people]

    @torch.no_grad()
    def embed(
        self, images: Iterable[str | os.PathLike | np.ndarray], patches: bool = False
    ) -> Embedded:
        """Features of files or RGB images, uint8 [h, w, 3]; on the CPU.

        Raises:
            ValueError: If a feature is not finite.
        """
        tokens, maps = defaultdict(list), []
        images = track(images, 'Embedding images', transient=True)
        for batch in read_batches(images, self.features.size):
            found = self.features(batch.to(self.device), patches)
            for name, token in found.tokens.items():
                tokens[name].append(token.cpu())
            if patches:
                maps.append(found.patches.cpu())
        joined = {name: torch.cat(parts) for name, parts in tokens.items()}
        if not all(each.isfinite().all() for each in (*joined.values(), *maps)):
            raise ValueError('features are not finite: the network cannot be probed')
        return Embedded(joined, torch.cat(maps) if maps else None)


def log(text: str) -> None:
    """Log a line about a probe, or print it where nothing logs."""
    print_log(text, logger='current')


def score_name(folder: str | Path, kind: str) -> str:
    """The name of a folder, for its scores; with its parent's, if it is ``kind``.

    Scores of drawn people are named ``kind``.
    """
    folder = Path(folder).resolve()
    return f'{folder.parent.name}-{kind}' if folder.name == kind else folder.name


def thinned(names: list[str], most: int) -> list[str]:
    """At most ``most`` names, evenly spaced."""
    return names[:: -(-len(names) // most)]


def spread(total: int, count: int) -> list[int]:
    """``count`` evenly spread indices of ``total``; all if there are fewer."""
    return np.linspace(0, total - 1, min(count, total)).round().astype(int).tolist()


def load_subject(
    source: str,
    config: str | Path | Config | None = None,
    device: Device = 'cpu',
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
        ValueError: If a file cannot be read safely or contains no model, or ``config``
            is missing or not one of pretraining, or ``role`` is given for anything but
            a SAIP or an exported backbone.
    """
    if config is not None:
        config = config if isinstance(config, Config) else load_config(str(config))
        if (
            'backbone' not in config.get('model', {})
            or 'train_dataloader' not in config
        ):
            raise ValueError(
                f'{config.filename}: is not a pretraining config, with a backbone in '
                'its model and a train_dataloader'
            )
    if source in BASELINES:
        _refuse(role, source)
        stated = config.model.backbone if config else {}
        features = BaselineFeatures(
            source,
            stated_size(stated.get('img_size')),
            stated.get('patch_size') or PATCH_SIZE,
        )
        return Subject(features, no_heads=f'{source} is not a network')
    if source == RANDOM:
        if config is None:
            raise ValueError(f'{RANDOM}: give the config of the model, --config CONFIG')
        model = _initialized(config).to(device).eval()
        return subject_of(model, config.train_dataloader.dataset, role)
    with open_checkpoint(source) as (_, checkpoint):
        return _from_checkpoint(checkpoint, config, device, role)


def subject_of(
    model: BaseSelfSupervisor, dataset: dict, role: str | None = None
) -> Subject:
    """The teacher or the student of a SAIP model, with the heads, on the model's
    device; for another algorithm, its backbone as it is now.

    Args:
        model: In evaluation mode. Its data preprocessor defines the normalization.
        dataset: Config of its training images.
        role: ``'teacher'`` (default) or ``'student'``; heads read the teacher anyway.

    Raises:
        ValueError: If ``role`` is given for another algorithm.
    """
    preprocessor = model.data_preprocessor
    if not isinstance(model, SAIP):
        _refuse(role, type(model).__name__)
        features = _vit_features(model) or StockFeatures(model, dataset)
        return Subject(features, device=preprocessor.mean.device)
    teacher = model.teacher['encoder'].backbone
    backbone = model.backbone if role == 'student' else teacher
    features = BackboneFeatures(backbone, preprocessor.mean, preprocessor.std)
    return Subject(features, model, dataset, preprocessor.mean.device)


def _refuse(role: str | None, name: str) -> None:
    if role is not None:
        raise ValueError(f'{name} is not a SAIP with teacher and student: omit --role')


def build_model(cfg: Config) -> BaseSelfSupervisor:
    """The model of a pretraining config, without initial weights.

    Raises:
        ValueError: If the model cannot be built.
    """
    settings = copy.deepcopy(cfg.model)
    settings.backbone.pop('init_cfg', None)
    # Configs of MMPretrain have it outside the model.
    settings.setdefault('data_preprocessor', cfg.get('data_preprocessor'))
    init_default_scope('mmpretrain')
    try:
        return MODELS.build(settings)
    except (AttributeError, KeyError, TypeError) as error:  # e.g. of another version
        name = cfg.filename or 'the config'
        raise ValueError(f'the model of {name} cannot be built: {error}') from error


def _initialized(cfg: Config) -> BaseSelfSupervisor:
    """The model of a config as at the start of a run with its seed (default 0)."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('WARNING')  # otherwise a line per parameter
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cfg.get('randomness', {}).get('seed') or 0)
        model = build_model(cfg)
        model.init_weights()
    logger.setLevel(level)
    return model


def _from_checkpoint(
    checkpoint: Mapping, cfg: Config | None, device: Device, role: str | None
) -> Subject:
    tensors = state_dict_of(checkpoint)
    checkpoint = dict(state_dict=tensors, meta=checkpoint.get('meta') or {})
    no_heads = 'no heads'
    if not any(name.startswith(PREFIXES['teacher']) for name in tensors):
        if cfg and type_name(cfg.get('model', {})) == 'SAIP':
            cfg = None  # the exported backbone was trained with it
    elif cfg is None:
        try:
            cfg = _config_within(checkpoint)
        except ValueError as error:
            no_heads = f'{error}: give --config'
    if cfg is not None:
        model = build_model(cfg)
        try:
            load_weights(model, tensors)
        except ValueError as error:
            name = cfg.filename or 'its config'
            raise ValueError(f'does not fit the model of {name}: {error}') from error
        model = model.to(device).eval()
        return subject_of(model, cfg.train_dataloader.dataset, role)
    try:
        backbone = choose_backbone(checkpoint, role)
        module = backbone.build()
    except ValueError as error:
        if 'cfg' not in checkpoint['meta']:
            raise
        raise ValueError(f'{error}; for another backbone, give --config') from error
    mean, std = (torch.tensor(x, device=device) for x in (backbone.mean, backbone.std))
    features = BackboneFeatures(module.to(device).eval(), mean, std)
    return Subject(features, device=device, no_heads=no_heads)


def _config_within(checkpoint: Mapping) -> Config:
    """The config stored in a checkpoint as text.

    Raises:
        ValueError: If there is none, or it cannot be read as data.
    """
    text = checkpoint['meta'].get('cfg')
    if not isinstance(text, str):
        raise ValueError('the checkpoint does not contain its config')
    name = 'the config in the checkpoint'
    return check_buildable(parse_config(text, name), name)


def _vit_features(model: BaseSelfSupervisor) -> BackboneFeatures | None:
    """Features of a ViT of MMPretrain that SAIPViT can compute; None for others."""
    vit, preprocessor = model.backbone, model.data_preprocessor
    if not isinstance(vit, VisionTransformer) or vit.cls_token is None:
        return None
    heads, grid = vit.arch_settings['num_heads'], tuple(vit.patch_resolution)
    try:
        found = choose_backbone(dict(state_dict=model.state_dict()))
        backbone = replace(found, num_heads=heads, grid=grid).build()
    except ValueError:  # for example, relative positions
        return None
    backbone = backbone.to(preprocessor.mean.device).eval()
    return BackboneFeatures(backbone, preprocessor.mean, preprocessor.std)
