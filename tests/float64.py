"""Imported by a config, makes double precision the default."""

import torch

torch.set_default_dtype(torch.float64)
