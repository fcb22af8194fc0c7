from .guards import CollapseWatch, FiniteGuard
from .hooks import QuarantineHook, SAIPHook
from .loops import AccumulatingTrainLoop
from .optimizer import BFloat16OptimWrapper, LayerDecay, WeightDecayGroups
from .processes import ending_together
from .runner import PretrainingRunner, SafeRunner, choose_runner, use_cpu_processes
from .saving import SafeCheckpointHook
from .visualizer import SafeVisualizer

__all__ = [
    'AccumulatingTrainLoop',
    'BFloat16OptimWrapper',
    'CollapseWatch',
    'FiniteGuard',
    'LayerDecay',
    'PretrainingRunner',
    'QuarantineHook',
    'SAIPHook',
    'SafeCheckpointHook',
    'SafeRunner',
    'SafeVisualizer',
    'WeightDecayGroups',
    'choose_runner',
    'ending_together',
    'use_cpu_processes',
]
