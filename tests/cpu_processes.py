"""Import this in a config to run a library's own launcher in several CPU processes.

MMEngine's initialization needs a GPU; it is skipped if processes are connected already.
"""

import atexit
import os
import sys

import torch


def _exit() -> None:
    """Exit without finalizing the interpreter.

    A gloo thread that has yet to free a tensor would abort the process during
    finalization: https://github.com/pytorch/pytorch/issues/190489.
    """
    torch.distributed.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(hasattr(sys, 'last_type')))  # set by an uncaught exception


if 'WORLD_SIZE' in os.environ and not torch.distributed.is_initialized():
    torch.distributed.init_process_group('gloo')
    atexit.register(_exit)
