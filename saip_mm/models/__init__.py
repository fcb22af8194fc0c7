from .encoder import AttentionMaps, Encoded, Encoder
from .matching import CrossScaleMatchingHead
from .preprocessor import SAIPDataPreprocessor
from .reconstruction import CrossScaleReconstructionHead
from .saip import SAIP
from .saip_vit import SAIPViT
from .search import CrossScaleSearchHead

__all__ = [
    'SAIP',
    'AttentionMaps',
    'CrossScaleMatchingHead',
    'CrossScaleReconstructionHead',
    'CrossScaleSearchHead',
    'Encoded',
    'Encoder',
    'SAIPDataPreprocessor',
    'SAIPViT',
]
