from .distillation import DistillationHead
from .dpal import DPAL, PatternAdapter
from .encoder import AttentionMaps, Encoded, Encoder
from .hap import HAP, HAPDataPreprocessor
from .matching import CrossScaleMatchingHead
from .pooled import PooledBackbone
from .preprocessor import SAIPDataPreprocessor
from .reconstruction import CrossScaleReconstructionHead
from .saip import SAIP
from .saip_vit import SAIPViT
from .search import CrossScaleSearchHead
from .tinyvit import SAIPTinyViT
from .windowed_vit import SAIPWindowedViT
