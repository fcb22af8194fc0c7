"""Reading, naming, converting and exporting checkpoints."""

from . import loading  # registers init_cfg of backbones
