from .hooks import SAIPHook
from .loops import AccumulatingTrainLoop
from .optimizer import BFloat16OptimWrapper, LayerDecay, WeightDecayGroups
from .runner import PretrainingRunner

__all__ = [
    'AccumulatingTrainLoop',
    'BFloat16OptimWrapper',
    'LayerDecay',
    'PretrainingRunner',
    'SAIPHook',
    'WeightDecayGroups',
]
