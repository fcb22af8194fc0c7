from .gradients import ObjectiveGradients
from .guards import CollapseWatch, FiniteGuard
from .hooks import QuarantineHook, SAIPHook
from .loops import AccumulatingTrainLoop
from .optimizer import BFloat16OptimWrapper, LayerDecay, WeightDecayGroups
from .processes import add_launcher, ending_together, set_launcher
from .runner import PretrainingRunner, SafeRunner, choose_runner
from .saving import SafeCheckpointHook
from .visualizer import SafeVisualizer

__all__ = [
    'AccumulatingTrainLoop',
    'BFloat16OptimWrapper',
    'CollapseWatch',
    'FiniteGuard',
    'LayerDecay',
    'ObjectiveGradients',
    'PretrainingRunner',
    'QuarantineHook',
    'SAIPHook',
    'SafeCheckpointHook',
    'SafeRunner',
    'SafeVisualizer',
    'WeightDecayGroups',
    'add_launcher',
    'choose_runner',
    'ending_together',
    'set_launcher',
]
