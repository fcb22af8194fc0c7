"""Part-level attribute parsing: Fashionpedia, on MMDetection.

Boxes, masks and attributes of garments and their parts.
"""

from .annotations import PartAnnotations, knowledge_matrix
from .datasets import AppendHuman, Fashionpedia, LoadPartAnnotations, PackPartInputs
from .heads import AttributeHead, KnowledgeAttributeHead
from .metric import PartAttributeMetric
from .roi_head import PartAttributeRoIHead
