"""Imported by a config, lets batch norms of CPU processes share their statistics.

``torch.nn.SyncBatchNorm`` does the same, on GPUs only.
"""

import torch
from torch.distributed import get_world_size, is_initialized
from torch.distributed.nn.functional import all_reduce

batch_norm = torch.nn.functional.batch_norm


def synced(
    x, mean, var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    if not (training and is_initialized()):
        return batch_norm(x, mean, var, weight, bias, training, momentum, eps)
    axes, column = (0, *range(2, x.ndim)), (-1, *[1] * (x.ndim - 2))
    count = x.numel() // x.shape[1] * get_world_size()
    sums = all_reduce(torch.stack([x.sum(axes), x.square().sum(axes)])) / count
    center, spread = sums[0], sums[1] - sums[0].square()
    if mean is not None:
        mean.lerp_(center.detach(), momentum)
        var.lerp_(spread.detach() * count / (count - 1), momentum)
    x = (x - center.view(column)) / (spread.view(column) + eps).sqrt()
    return x * weight.view(column) + bias.view(column)


torch.nn.functional.batch_norm = synced
