"""Person re-identification for MMPretrain."""

from .datasets import MSMT17, Market1501, ReIDDataset
from .head import BatchHardTripletLoss, ReIDHead
from .metric import ReIDMetric
from .rerank import KReciprocalDistance
from .sampler import PKSampler

__all__ = [
    'MSMT17',
    'BatchHardTripletLoss',
    'KReciprocalDistance',
    'Market1501',
    'PKSampler',
    'ReIDDataset',
    'ReIDHead',
    'ReIDMetric',
]
