"""Imported by a config, lets a library's own launcher use several CPU processes.

MMEngine asks for a GPU in its own set-up, which it leaves out where it finds processes
that are connected already.
"""

import os

import torch

if 'WORLD_SIZE' in os.environ and not torch.distributed.is_initialized():
    torch.distributed.init_process_group('gloo')
