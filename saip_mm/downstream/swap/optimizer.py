"""Optimizer and schedule of a config for another backbone."""

from ...checkpoints.backbone import Backbone
from .stock import Stock

# An untuned default for configs with optimizers other than AdamW.
ADAMW = dict(type='AdamW', lr=2e-4, weight_decay=0.05)


def optimizer_for(stock: Stock, ours: Backbone) -> dict:
    """AdamW, with layer decay for ViTs; other settings of the wrapper are inherited."""
    old = stock.wrapper
    # Measured in docs/model_card.md; 0.75, usual for larger ViTs, is worse.
    decay = dict(decay_rate=0.9, no_decay=['cls_token', 'pos_embed'])
    if not ours.is_vit:
        decay = dict(no_decay=['attention_biases'])
    if kept := kept_keys(stock):
        decay['custom_keys'] = kept
    if old.get('paramwise_cfg'):
        decay = dict(_delete_=True, **decay)
    constructor = 'LayerDecay' if ours.is_vit else 'WeightDecayGroups'
    new = dict(constructor=f'mmpretrain.{constructor}', paramwise_cfg=decay)
    if not old:
        new = dict(type='OptimWrapper', **new)
    optimizer = old.get('optimizer') or {}
    if optimizer.get('type') != 'AdamW':
        new['optimizer'] = dict(_delete_=True, **ADAMW) if optimizer else ADAMW
    return new


def kept_keys(stock: Stock) -> dict:
    """The ``custom_keys`` that the constructors support, without the backbone's."""
    keys = (stock.wrapper.get('paramwise_cfg') or {}).get('custom_keys', {})
    return {
        key: factors
        for key, factors in keys.items()
        if not key.startswith('backbone') and set(factors) <= {'lr_mult', 'decay_mult'}
    }


def schedule_of(stock: Stock) -> list[dict]:
    """Schedulers without absolute minimums, which would exceed the learning rates of
    early layers, or those of another optimizer; empty if there are none.

    A cosine ends at the same share of the learning rate as before, others at 0.
    """
    schedulers = stock.cfg.get('param_scheduler') or []
    schedulers = schedulers if isinstance(schedulers, list) else [schedulers]
    if stock.is_frozen or not any(each.get('eta_min') for each in schedulers):
        return []
    new = [dict(each) for each in schedulers]
    rate = (stock.wrapper.get('optimizer') or {}).get('lr')
    for each in new:
        minimum = each.pop('eta_min', None)
        if minimum and rate and 'Cosine' in each['type']:
            each['eta_min_ratio'] = minimum / rate
    return new
