from ..checkpoints import teachers  # register
from . import gradients, guards, loops, optimizer, visualizer  # register
from .hooks import SAIPHook
from .processes import exit_together
from .runner import SafeRunner
from .saving import SafeCheckpointHook
