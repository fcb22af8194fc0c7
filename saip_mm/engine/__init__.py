from .hooks import SAIPHook
from .loops import AccumulatingTrainLoop
from .optimizer import BFloat16OptimWrapper, LayerDecay, WeightDecayGroups
from .runner import PretrainingRunner, SafeRunner, choose_runner, use_cpu_processes

__all__ = [
    'AccumulatingTrainLoop',
    'BFloat16OptimWrapper',
    'LayerDecay',
    'PretrainingRunner',
    'SAIPHook',
    'SafeRunner',
    'WeightDecayGroups',
    'choose_runner',
    'use_cpu_processes',
]
