"""Reading, naming, converting and exporting checkpoints."""

from . import loading  # noqa: F401  (registers init_cfg of backbones)
