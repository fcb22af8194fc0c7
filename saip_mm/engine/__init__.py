from .hooks import SAIPHook
from .loops import AccumulatingTrainLoop
from .optimizer import BFloat16OptimWrapper, WeightDecayGroups
from .runner import PretrainingRunner

__all__ = [
    'AccumulatingTrainLoop',
    'BFloat16OptimWrapper',
    'PretrainingRunner',
    'SAIPHook',
    'WeightDecayGroups',
]
