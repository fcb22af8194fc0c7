"""Person re-identification for MMPretrain."""

from .datasets import MSMT17, Market1501, ReIDCSV, ReIDDataset
from .head import BatchHardTripletLoss, ReIDHead
from .metric import ReIDMetric
from .sampler import PKSampler
