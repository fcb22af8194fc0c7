"""SAIP: Scale-Aware Image Pretraining of lightweight human-centric backbones.

Importing this package registers everything that pretraining needs in MMPretrain's
registries. It never imports MMDetection, MMSegmentation or MMPose.
"""

import contextlib
import gc
import io
import logging
import sys
import warnings
from types import SimpleNamespace

__version__ = '0.1.0'

_disabled = logging.root.manager.disable
# Imports allocate much and release little: a quarter of their time is spent on garbage
# collection.
_collects = gc.isenabled()
gc.disable()
try:
    # MMCV warns about operators, and MMPretrain prints which data set it cannot import;
    # pretraining needs neither.
    logging.disable(logging.WARNING)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter('ignore')
        import torch

        if torch.__version__ < (2, 1):
            raise ImportError(f'PyTorch {torch.__version__} is older than 2.1')

        from mmpretrain.utils import dependency

        # MMPretrain's language models cannot be imported with transformers 5.
        if dependency.satisfy_requirement('transformers>=5'):
            dependency.WITH_MULTIMODAL = False
        import mmpretrain.datasets

        # MMPretrain imports MMDetection, if installed, for one class, which takes two
        # seconds. Configs that use the class import its module themselves.
        if 'mmpretrain.models' not in sys.modules:
            _name = 'mmpretrain.models.utils.res_layer_extra_norm'
            sys.modules[_name] = SimpleNamespace(ResLayerExtraNorm=None)
            import mmpretrain.models

            del sys.modules[_name]

        from . import data, evaluation, models, training
        from .apis import embed, load_backbone
        from .evaluation.readout import fit_whitening
except Exception as error:  # for example, AssertionError for an incompatible MMCV
    # `python -m saip_mm.doctor` imports this package first and must be able to run.
    warnings.warn(
        'saip_mm could not be imported with the installed packages and has registered '
        f'nothing ({type(error).__name__}: {error}). `python -m saip_mm.doctor` looks '
        'for the cause',
        stacklevel=2,
    )
finally:
    logging.disable(_disabled)
    if _collects:
        gc.enable()
