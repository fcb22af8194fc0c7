"""Pedestrian attribute recognition with MMPretrain's MultiLabelLinearClsHead."""

from .datasets import PA100K, AttributeDataset, AttributesCSV
from .loss import PositiveRatioHook, RatioWeightedBCELoss
from .metric import PedestrianAttributeMetric
from .peta import PETA
