from .encoder import AttentionMaps, Encoded, Encoder
from .matching import CrossScaleMatchingHead
from .pooled import PooledBackbone
from .preprocessor import SAIPDataPreprocessor
from .reconstruction import CrossScaleReconstructionHead
from .saip import SAIP
from .saip_vit import SAIPViT
from .search import CrossScaleSearchHead
from .tinyvit import SAIPTinyViT

__all__ = [
    'SAIP',
    'AttentionMaps',
    'CrossScaleMatchingHead',
    'CrossScaleReconstructionHead',
    'CrossScaleSearchHead',
    'Encoded',
    'Encoder',
    'PooledBackbone',
    'SAIPDataPreprocessor',
    'SAIPTinyViT',
    'SAIPViT',
]
