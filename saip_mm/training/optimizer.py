"""Parameter groups and precision."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmpretrain.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS
from torch import nn


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class WeightDecayGroups(DefaultOptimWrapperConstructor):
    """Two parameter groups: with weight decay and without.

    Vectors (norms, biases) and parameters whose last name is in
    ``paramwise_cfg['no_decay']`` are not decayed. MMEngine's default makes one group
    per parameter, which costs a GPU hundreds of small kernels per step.
    """

    def _validate_cfg(self) -> None:
        if set(self.paramwise_cfg) != {'no_decay'}:
            raise ValueError(
                'WeightDecayGroups takes paramwise_cfg=dict(no_decay=[names]), not '
                f'{dict(self.paramwise_cfg)}'
            )

    def add_params(self, params: list[dict], module: nn.Module, **_) -> None:
        """Append the two groups of ``module`` to ``params``."""
        decayed, others = [], []
        for name, parameter in _trained(module):
            (others if self._is_exempt(name, parameter) else decayed).append(parameter)
        params.append(dict(params=decayed))
        params.append(dict(params=others, weight_decay=0.0))

    def _is_exempt(self, name: str, parameter: nn.Parameter) -> bool:
        last = name.rsplit('.', 1)[-1]
        return parameter.ndim == 1 or last in self.paramwise_cfg['no_decay']


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecay(WeightDecayGroups):
    """Learning rates that fall from the head to the first layer (arXiv 2003.10555).

    In layer i of n the learning rate is multiplied by ``decay_rate ** (n - 1 - i)``:
    layer n - 1 is all that follows the blocks, 0 the patch embedding and positions.
    Weight decay as in :class:`WeightDecayGroups`. Works in all OpenMMLab libraries, as
    ``constructor='mmpretrain.LayerDecay'`` with
    ``paramwise_cfg=dict(_delete_=True, decay_rate=0.75, no_decay=[names])``, for
    backbones with MMPretrain's ``get_layer_depth``, such as ``SAIPViT``.

    Parameters outside the backbone may have MMEngine's
    ``custom_keys=dict(KEY=dict(lr_mult=…, decay_mult=…))`` as well: the longest KEY
    that is a part of the parameter's name counts.
    """

    def _validate_cfg(self) -> None:
        if set(self.paramwise_cfg) - {'custom_keys'} != {'decay_rate', 'no_decay'}:
            raise ValueError(
                'LayerDecay takes paramwise_cfg=dict(_delete_=True, decay_rate=RATE, '
                f'no_decay=[names]), not {dict(self.paramwise_cfg)}'
            )
        for key, mults in self.paramwise_cfg.get('custom_keys', {}).items():
            if set(mults) - {'lr_mult', 'decay_mult'}:
                raise ValueError(
                    f'LayerDecay: custom_keys[{key!r}] takes lr_mult and decay_mult, '
                    f'not {dict(mults)}'
                )
        rate = self.paramwise_cfg['decay_rate']
        if not 0 < rate <= 1:
            raise ValueError(f'decay_rate={rate}: give more than 0 and at most 1')

    def add_params(self, params: list[dict], module: nn.Module, **_) -> None:
        """Append a group for each layer and weight decay of ``module`` to ``params``.

        Raises:
            TypeError: If its backbone has no ``get_layer_depth``.
        """
        backbone = getattr(module, 'backbone', None)
        if not hasattr(backbone, 'get_layer_depth'):
            raise TypeError(
                f'LayerDecay: the backbone {type(backbone).__name__} of '
                f'{type(module).__name__} has no get_layer_depth, which says to which '
                'layer a parameter belongs; take another constructor'
            )
        groups = {}
        for name, parameter in _trained(module):
            depth, depths = backbone.get_layer_depth(name, 'backbone.')
            mults = self._custom_key(name)
            decay = mults.get('decay_mult', not self._is_exempt(name, parameter))
            key = depths - 1 - depth, not decay, mults.get('lr_mult', 1), decay
            groups.setdefault(key, []).append(parameter)
        for (below_head, _, mult, decay), parameters in sorted(groups.items()):
            lr = self.base_lr * self.paramwise_cfg['decay_rate'] ** below_head * mult
            own = {} if decay == 1 else dict(weight_decay=(self.base_wd or 0.0) * decay)
            params.append(dict(params=parameters, lr=lr, **own))

    def _custom_key(self, name: str) -> dict:
        """The entry of ``custom_keys`` for a parameter."""
        if name.startswith('backbone.'):
            return {}
        keys = self.paramwise_cfg.get('custom_keys', {})
        return keys.get(max((k for k in keys if k in name), key=len, default=None), {})


def _trained(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return (each for each in module.named_parameters() if each[1].requires_grad)


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
