"""What several processes of a training tell each other."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed
from mmengine.dist import barrier, is_distributed


class Agreement:
    """Lets processes ask whether something is so on any of them.

    They talk through their CPUs, so that none waits for its GPU.
    """

    def __init__(self) -> None:
        self.group = (
            torch.distributed.new_group(backend='gloo') if is_distributed() else None
        )

    def any(self, value: bool) -> bool:
        """Whether ``value`` is true on any process; all of them have to ask."""
        if self.group is None:
            return value
        flag = torch.tensor(int(value))
        torch.distributed.all_reduce(
            flag, torch.distributed.ReduceOp.MAX, group=self.group
        )
        return bool(flag)


@contextmanager
def ending_together() -> Iterator[None]:
    """Lets processes that have done their work wait for each other, and then hang up.

    One that leaves while others still talk, or save, may be killed by its own threads,
    and all of them then count as failed. An error ends a process at once.
    """
    try:
        yield
    except SystemExit:  # told to stop, as all of them are
        _hang_up()
        raise
    _hang_up()


def _hang_up() -> None:
    if is_distributed():
        barrier()
        torch.distributed.destroy_process_group()
