from . import gradients, guards, loops, optimizer, visualizer  # noqa: F401  (register)
from .hooks import SAIPHook
from .processes import ending_together
from .runner import PretrainingRunner, SafeRunner, choose_runner
from .saving import SafeCheckpointHook

__all__ = [
    'PretrainingRunner',
    'SAIPHook',
    'SafeCheckpointHook',
    'SafeRunner',
    'choose_runner',
    'ending_together',
]
