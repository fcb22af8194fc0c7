"""Text-to-image person retrieval for MMPretrain; needs open_clip_torch."""

from .clip import CLIPText, TokenizeCaptions
from .datasets import CUHKPEDES, ICFGPEDES, CaptionedPeople, RSTPReid
from .masked_language import MaskedLanguageHead
from .metric import TextRetrievalMetric
from .model import TextRetriever
