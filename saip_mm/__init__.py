"""SAIP: Scale-Aware Image Pretraining of light human-centric backbones.

Importing this package registers everything that pretraining needs in MMPretrain's
registries. It never imports MMDetection, MMSegmentation or MMPose.
"""

import contextlib
import io
import sys
import warnings

# Two lines that the libraries print on import and that concern no user of this package:
# MMCV misses operators that pretraining does not need, MMPretrain a service's client.
warnings.filterwarnings('ignore', 'Fail to import ``MultiScaleDeformableAttention``')
# The doctor has to tell what is wrong where none of this can be imported.
if 'saip_mm.doctor' not in sys.orig_argv:
    import rich

    with contextlib.redirect_stdout(io.StringIO()):
        import mmpretrain.datasets  # noqa: F401
    # A console that was made in there found no terminal, and would show no progress.
    rich.reconfigure()

    from . import data, evaluation, models, training
    from .apis import embed, load_backbone

__version__ = '0.1.0'
__all__ = [
    '__version__',
    'data',
    'embed',
    'evaluation',
    'load_backbone',
    'models',
    'training',
]
