from .hooks import SAIPHook
from .loops import AccumulatingTrainLoop
from .optimizer import BFloat16OptimWrapper, WeightDecayGroups

__all__ = [
    'AccumulatingTrainLoop',
    'BFloat16OptimWrapper',
    'SAIPHook',
    'WeightDecayGroups',
]
