"""Parameter groups and precision."""

import logging
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch
from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmpretrain.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS
from torch import nn

_CPUINFO = Path('/proc/cpuinfo')  # Linux's description of the CPU


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class WeightDecayGroups(DefaultOptimWrapperConstructor):
    """Parameter groups: with weight decay and without.

    Vectors (norms, biases) and parameters whose last name is in
    ``paramwise_cfg['no_decay']`` are not decayed. MMEngine's default makes one group
    per parameter, which costs a GPU hundreds of small kernels per step.

    MMEngine's ``custom_keys=dict(KEY=dict(lr_mult=…, decay_mult=…))`` in
    ``paramwise_cfg`` adds groups; the longest KEY contained in a parameter's name
    applies.
    """

    example = 'dict(no_decay=[names])'
    keys = {'no_decay', 'custom_keys'}

    def _validate_cfg(self) -> None:
        name = type(self).__name__
        self.paramwise_cfg.pop('_delete_', None)  # stays in configs without a base
        if {*self.paramwise_cfg, 'custom_keys'} != self.keys:
            raise ValueError(
                f'{name} takes paramwise_cfg={self.example}, optionally with '
                f'custom_keys; given: {", ".join(self.paramwise_cfg) or "nothing"}'
            )
        for key, mults in self.paramwise_cfg.get('custom_keys', {}).items():
            if set(mults) - {'lr_mult', 'decay_mult'}:
                raise ValueError(
                    f'{name}: custom_keys[{key!r}] takes lr_mult and decay_mult, not '
                    f'{dict(mults)}'
                )

    def add_params(self, params: list[dict], module: nn.Module, **_) -> None:
        """Append the groups of ``module`` to ``params``."""
        groups, no_decay = {}, self.paramwise_cfg['no_decay']
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            mults = self._custom_key(name)
            exempt = parameter.ndim == 1 or name.rsplit('.', 1)[-1] in no_decay
            decay = mults.get('decay_mult', float(not exempt))
            layer, mult = self._below_head(module, name), mults.get('lr_mult', 1.0)
            groups.setdefault((layer, not decay, mult, decay), []).append(parameter)
        rate = self.paramwise_cfg.get('decay_rate', 1.0)
        for (layer, _, mult, decay), parameters in sorted(groups.items()):
            group = dict(params=parameters, lr=self.base_lr * mult * rate**layer)
            if decay != 1:
                group['weight_decay'] = (self.base_wd or 0.0) * decay
            params.append(group)

    def _custom_key(self, name: str) -> dict:
        """The entry of ``custom_keys`` for a parameter."""
        keys = self.paramwise_cfg.get('custom_keys', {})
        return keys.get(max((k for k in keys if k in name), key=len, default=None), {})

    def _below_head(self, module: nn.Module, name: str) -> int:
        """Number of layers between a parameter and the head."""
        return 0


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecay(WeightDecayGroups):
    """Learning rates that fall from the head to the first layer (arXiv 2003.10555).

    In layer i of n the learning rate is multiplied by ``decay_rate ** (n - 1 - i)``:
    layer n - 1 is all that follows the blocks, 0 the patch embedding and positions.
    Works in all OpenMMLab libraries, as ``constructor='mmpretrain.LayerDecay'`` with
    ``paramwise_cfg=dict(_delete_=True, decay_rate=0.75, no_decay=[names])``, for
    backbones with MMPretrain's ``get_layer_depth``, such as ``SAIPViT``. Otherwise like
    :class:`WeightDecayGroups`; ``custom_keys`` do not apply to the backbone.
    """

    example = 'dict(_delete_=True, decay_rate=RATE, no_decay=[names])'
    keys = {'decay_rate', 'no_decay', 'custom_keys'}

    def _validate_cfg(self) -> None:
        super()._validate_cfg()
        rate = self.paramwise_cfg['decay_rate']
        if not 0 < rate <= 1:
            raise ValueError(f'decay_rate={rate}: give more than 0 and at most 1')
        keys = self.paramwise_cfg.get('custom_keys', {})
        if unused := [key for key in keys if key.startswith('backbone')]:
            raise ValueError(
                'LayerDecay: custom_keys do not apply to the backbone, hence not '
                f'{", ".join(unused)}; use decay_rate, and to freeze blocks '
                'model.backbone.frozen_stages'
            )

    def _custom_key(self, name: str) -> dict:
        return {} if name.startswith('backbone.') else super()._custom_key(name)

    def _below_head(self, module: nn.Module, name: str) -> int:
        backbone = getattr(module, 'backbone', None)
        if not hasattr(backbone, 'get_layer_depth'):
            raise TypeError(
                f'LayerDecay: the backbone {type(backbone).__name__} of '
                f'{type(module).__name__} has no get_layer_depth, which maps '
                'parameters to layers; use another constructor'
            )
        depth, depths = backbone.get_layer_depth(name, 'backbone.')
        return depths - 1 - depth


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Runs the forward pass under bfloat16 autocast where that is faster than float32.

    This is taken for granted of GPUs (``python -m saip_mm.doctor`` names those without
    bfloat16), and true of CPUs with ``avx512_bf16``. Other CPUs emulate it at a
    fraction of the speed of float32, which is then used, with a warning.

    Unlike fp16 it needs no loss scaling; MMEngine's ``AmpOptimWrapper`` scales
    regardless, and refuses a CPU.
    """

    @contextmanager
    def optim_context(self, model: nn.Module):
        device = next(model.parameters()).device.type
        with (
            super().optim_context(model),
            torch.autocast(device, torch.bfloat16, enabled=has_bfloat16(device)),
        ):
            yield


@cache
def has_bfloat16(device: str) -> bool:
    """Whether a type of device has instructions for bfloat16: a CPU may lack them."""
    if device != 'cpu':
        return True
    # PyTorch itself reports this only in recent releases.
    found = _CPUINFO.is_file() and 'avx512_bf16' in _CPUINFO.read_text()
    if not found:
        print_log(
            'This CPU has no instructions for bfloat16: float32 is used',
            logger='current',
            level=logging.WARNING,
        )
    return found
