"""SAIP: Scale-Aware Image Pretraining of light human-centric backbones.

Importing this package registers everything that pretraining needs in MMPretrain's
registries. It never imports MMDetection, MMSegmentation or MMPose.
"""

import warnings

# MMCV says so on every import; pretraining needs none of its compiled operators.
warnings.filterwarnings('ignore', 'Fail to import ``MultiScaleDeformableAttention``')

from . import datasets, engine, models  # noqa: E402

__version__ = '0.1.0'
__all__ = ['__version__', 'datasets', 'engine', 'models']
