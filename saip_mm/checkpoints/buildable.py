"""Saved training configs that can be built without executing code."""

from mmengine.config import Config
from mmengine.utils.misc import get_object_from_string
from mmpretrain.registry import DATASETS, MODELS, TRANSFORMS

from ..data.configs import parts_of
from .backbone import POOLED, backbone_class

# Modules whose classes a saved config may build. Other registered classes may load
# pickles or run code of a model hub.
_HARMLESS = ('saip_mm.', 'mmengine.dataset.', 'mmpretrain.datasets.dataset_wrappers')
_HARMLESS += ('torch.nn.', 'mmcv.cnn.')
_NAMING = ('type', '_scope_')  # settings that name what is built


def check_buildable(cfg: Config, name: str) -> Config:
    """Check that a pretraining config builds only harmless models and data sets.

    A registry imports and calls any function named by ``type``, such as ``os.system``.
    Initial weights of the backbone are removed from the config.

    Raises:
        ValueError: If it builds others; the message begins with ``name``.
    """
    try:
        parts = cfg.model, cfg.train_dataloader.dataset
        cfg.model.backbone.pop('init_cfg', None)
    except (AttributeError, TypeError) as error:
        raise ValueError(f'{name} is not a config of pretraining: {error}') from error
    named = (part[key] for part in parts_of(parts) for key in _NAMING if key in part)
    for kind in named:
        if not _is_harmless(kind):
            raise ValueError(
                f'{name} builds {kind!r}, which is not part of saip_mm; only a config '
                'given on the command line may do that'
            )
    return cfg


def _is_harmless(kind: object) -> bool:
    if not isinstance(kind, str):
        return False
    kind = kind.removeprefix('mmpretrain.')
    if kind in POOLED.values():
        backbone_class(kind)
    name = kind
    if kind.startswith(_HARMLESS):  # a class by its module, of configs in pure Python
        name = kind.rpartition('.')[2]
    for registry in (MODELS, DATASETS, TRANSFORMS):
        for each in (registry, registry.parent):
            found = each.module_dict.get(name)
            if found is not None:
                is_meant = name == kind or get_object_from_string(kind) is found
                return is_meant and found.__module__.startswith(_HARMLESS)
    return False
