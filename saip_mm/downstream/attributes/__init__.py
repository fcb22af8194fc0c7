"""Pedestrian attribute recognition with MMPretrain's MultiLabelLinearClsHead."""

from .datasets import PA100K, PETA, AttributeDataset, AttributesCSV
from .loss import PositiveRatioHook, RatioWeightedBCELoss
from .metric import PedestrianAttributeMetric
