"""What several processes of a training tell each other."""

import torch
import torch.distributed
from mmengine.dist import is_distributed


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
