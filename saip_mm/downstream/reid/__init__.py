"""Person re-identification for MMPretrain."""

from .datasets import MSMT17, Market1501, ReIDCSV, ReIDDataset
from .head import BatchHardTripletLoss, ReIDHead
from .metric import ReIDMetric
from .sampler import PKSampler

__all__ = [
    'MSMT17',
    'BatchHardTripletLoss',
    'Market1501',
    'PKSampler',
    'ReIDCSV',
    'ReIDDataset',
    'ReIDHead',
    'ReIDMetric',
]
