"""Puts a SAIP backbone into configs of other libraries.

`run.py` says what happens in which order: `stock.py` reads a config and measures its
backbone; `plan.py` decides what has to change; `trial.py` trains one step, on random
inputs that `inputs.py` makes.
"""

from .run import Swapped, swap_backbone
from .stock import Refusal

__all__ = ['Refusal', 'Swapped', 'swap_backbone']
