"""Put a pretrained backbone into configs of other libraries.

`stock.py` reads a config and measures its backbone, `plan.py` determines the changes,
`inputs.py` generates random inputs, and `run.py` writes the config and tests it.
"""

from .run import Swapped, swap_backbone
from .stock import Refusal
