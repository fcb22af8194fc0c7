from ..checkpoints import teachers  # noqa: F401  (register)
from . import gradients, guards, loops, optimizer, visualizer  # noqa: F401  (register)
from .hooks import SAIPHook
from .processes import ending_together
from .runner import SafeRunner
from .saving import SafeCheckpointHook

__all__ = [
    'SAIPHook',
    'SafeCheckpointHook',
    'SafeRunner',
    'ending_together',
]
