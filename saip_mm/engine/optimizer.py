"""Parameter groups and precision."""

from contextlib import contextmanager

import torch
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmpretrain.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS
from torch import nn


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class WeightDecayGroups(DefaultOptimWrapperConstructor):
    """Two parameter groups: with weight decay and without.

    MMEngine's default makes one group per parameter, which costs a GPU hundreds of
    small kernels per step.

    Vectors (norms, biases) are not decayed, nor are parameters whose last name is in
    ``paramwise_cfg['no_decay']``.
    """

    def _validate_cfg(self) -> None:
        if set(self.paramwise_cfg) != {'no_decay'}:
            raise ValueError(
                'WeightDecayGroups takes paramwise_cfg=dict(no_decay=[names]), not '
                f'{dict(self.paramwise_cfg)}'
            )

    def add_params(self, params: list[dict], module: nn.Module, **_) -> None:
        """Append the two groups of ``module`` to ``params``."""
        names = set(self.paramwise_cfg['no_decay'])
        decayed, others = [], []
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            exempt = parameter.ndim == 1 or name.rsplit('.', 1)[-1] in names
            (others if exempt else decayed).append(parameter)
        params.append(dict(params=decayed))
        params.append(dict(params=others, weight_decay=0.0))


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Runs the forward pass under bfloat16 autocast, on a GPU or a CPU.

    Unlike fp16 it needs no loss scaling; MMEngine's ``AmpOptimWrapper`` scales
    regardless, and refuses a CPU.
    """

    @contextmanager
    def optim_context(self, model: nn.Module):
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, torch.bfloat16):
            yield
