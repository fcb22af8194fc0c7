"""SAIP: Scale-Aware Image Pretraining of light human-centric backbones.

Importing this package registers everything that pretraining needs in MMPretrain's
registries. It never imports MMDetection, MMSegmentation or MMPose.
"""

from . import datasets, engine, models

__version__ = '0.1.0'
__all__ = ['__version__', 'datasets', 'engine', 'models']
