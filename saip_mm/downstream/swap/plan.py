"""What has to change in a config for another backbone."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from .stock import Level, Refusal, Stock

PYRAMID = 'saip_mm.downstream.pyramid'
# Learning rate where the config's own is not AdamW's: a start, not tuned.
_LR = 2e-4


@dataclass(frozen=True)
class Weights:
    """What a config has to know of a checkpoint.

    Attributes:
        checkpoint: Its path, as the config names it.
        prefix: Where the backbone is in it.
        arch: ``arch`` of SAIPViT.
        channels: Channels of the backbone.
        num_layers: Its blocks.
        patch_size: Side of a patch, in pixels.
        mean: Of the images that it was trained on, RGB, 0-255.
        std: The same.
    """

    checkpoint: str
    prefix: str
    arch: str | dict
    channels: int
    num_layers: int
    patch_size: int
    mean: list[float]
    std: list[float]


class NotClean(Exception):
    """Channels cannot simply be replaced where they are used."""


def plan_changes(
    stock: Stock,
    weights: Weights,
    levels: Sequence[Level],
    adapt: bool,
    unused: Sequence[int] = (),
    idle: Sequence[str] = (),
) -> dict:
    """The differences between a config and the same one with our backbone.

    Args:
        stock: The config.
        weights: The backbone.
        levels: What the config's own backbone gives.
        adapt: Whether to tell neck or heads the channels that there are; otherwise
            1×1 convolutions make those that there were.
        unused: Levels that nothing learns from; they are not computed.
        idle: Keys of ``custom_keys`` that are for no parameter outside the backbone.

    Raises:
        NotClean: If ``adapt`` and neither neck nor heads say that they take ``levels``.
        Refusal: If a ViT cannot give such levels.
    """
    model = stock.model
    outputs, pyramid = _outputs(model, weights, levels, adapt, unused)
    changed = _consumers(model, levels, outputs) if adapt else {}
    if pyramid:
        neck = _with_neck(stock, pyramid, changed.pop('neck', None))
        changed = dict(neck=neck, **changed)
    backbone = _backbone(stock, weights, levels, pyramid)
    for key in ('pretrained', 'init_cfg'):
        if model.get(key):
            changed[key] = None
    top, inner = _preprocessor(stock, weights)
    changes = dict(custom_imports=_imports(stock, bool(pyramid)), **top)
    changes['model'] = {**inner, 'backbone': backbone, **changed}
    changes['optim_wrapper'] = _optimizer(stock.cfg.get('optim_wrapper'), idle)
    if stock.cfg.get('load_from'):
        changes['load_from'] = None
    return changes


def _outputs(
    model: dict,
    weights: Weights,
    levels: Sequence[Level],
    adapt: bool,
    unused: Sequence[int],
) -> tuple[list[int], dict | None]:
    """Channels of every level that neck and heads will see, and the pyramid for it."""
    strides = [level.stride for level in levels]
    vectors = [stride is None for stride in strides]
    if any(vectors):
        if len(levels) > 1:
            raise Refusal('its backbone gives vectors, and more than one output')
        if not adapt:
            raise NotClean(
                'its backbone gives a vector, and no head says that it takes '
                f'in_channels={levels[0].channels}'
            )
        return [weights.channels], None
    if adapt and (set(strides) == {weights.patch_size} or _pools(model, len(strides))):
        return [weights.channels] * len(levels), None
    patch = weights.patch_size
    for stride in strides:
        if stride not in {2**power for power in range(10)}:
            raise Refusal(
                f'its backbone gives maps of stride {stride:.3g}: a pyramid makes '
                'powers of two only'
            )
    made = [patch if i in unused else s for i, s in enumerate(strides)]
    channels = [weights.channels // max(patch // s, 1) for s in made]
    pyramid = dict(
        type='mmpretrain.ViTPyramid', in_channels=weights.channels, strides=made
    )
    if patch != 16:
        pyramid['in_stride'] = patch
    if not adapt:
        pyramid['out_channels'] = [
            None if i in unused else level.channels for i, level in enumerate(levels)
        ]
    return channels, pyramid


def _with_neck(
    stock: Stock, pyramid: dict, changed: dict | list | None
) -> dict | list[dict]:
    """The pyramid, and after it the config's own neck with what changed of it."""
    neck = stock.model.get('neck')
    if not neck:
        return pyramid
    if isinstance(neck, list):
        return [pyramid, *(changed or neck)]
    neck = {**neck, **(changed or {})}
    if stock.library == 'mmpose':  # which drops a list of necks without a word
        return dict(_delete_=True, **pyramid, neck=neck)
    return [pyramid, neck]


def _pools(model: dict, count: int) -> bool:
    """Whether the first thing that happens to the only map is its average."""
    neck = model.get('neck')
    if count != 1 or not isinstance(neck, dict):
        return False
    if neck['type'].split('.')[-1] == 'GlobalAveragePooling':
        return set(neck) == {'type'}  # with a kernel of its own the stride matters
    return neck.get('with_avg_pool', False)


def _consumers(model: dict, levels: Sequence[Level], outputs: list[int]) -> dict:
    """New ``in_channels`` of the neck, or of the heads where no neck has any."""
    channels = [level.channels for level in levels]
    neck = model.get('neck')
    first = neck[0] if isinstance(neck, list) and neck else neck
    if first and 'in_channels' in first:
        new = dict(in_channels=_replaced(first, channels, outputs))
        if isinstance(neck, dict):
            return dict(neck=new)
        return dict(neck=[{**first, **new}, *neck[1:]])
    changed = {}
    for key, head in model.items():
        if not key.endswith('head') or not head:
            continue
        if isinstance(head, dict) and 'in_channels' in head:
            changed[key] = dict(in_channels=_replaced(head, channels, outputs))
        elif isinstance(head, list):
            # Lists are not merged in configs: the others have to be said again.
            changed[key] = [
                {**each, 'in_channels': _replaced(each, channels, outputs)}
                for each in head
            ]
    if not changed:
        raise NotClean('neither neck nor heads have in_channels')
    return changed


def _replaced(part: dict, channels: list[int], outputs: list[int]) -> int | list[int]:
    """``in_channels`` of a neck or head that took ``channels``, for ``outputs``."""
    taken, index = part.get('in_channels'), part.get('in_index')
    if isinstance(taken, list | tuple):
        orders = [range(len(channels)), range(len(channels))[::-1]]
        if isinstance(index, list | tuple):
            orders.insert(0, index)
        for order in orders:
            if list(taken) == [channels[i] for i in order]:
                return [outputs[i] for i in order]
    else:
        index = index if isinstance(index, int) else -1
        if taken == channels[index]:
            return outputs[index]
    raise NotClean(f'in_channels={taken} are not those of {channels}')


def _backbone(
    stock: Stock, weights: Weights, levels: Sequence[Level], pyramid: dict | None
) -> dict:
    init = dict(type='Pretrained', checkpoint=weights.checkpoint)
    if weights.prefix:
        init['prefix'] = weights.prefix
    backbone = dict(_delete_=True, type='mmpretrain.SAIPViT')
    if weights.arch != 'deit-tiny':
        backbone['arch'] = weights.arch
    backbone['img_size'] = stock.size
    if weights.patch_size != 16:
        backbone['patch_size'] = weights.patch_size
    if levels[0].stride is None:
        backbone['out_type'] = 'cls_token'
    elif not pyramid and len(levels) > 1:
        depth = weights.num_layers / len(levels)
        backbone['out_indices'] = [
            round(depth * (i + 1)) - 1 for i in range(len(levels))
        ]
    return dict(backbone, init_cfg=init)


def _preprocessor(stock: Stock, weights: Weights) -> tuple[dict, dict]:
    """Colours, as a change at the top of the config or inside its model."""
    inside = 'data_preprocessor' in stock.model
    top = not inside and 'data_preprocessor' in stock.cfg
    old = (stock.cfg if top else stock.model).get('data_preprocessor') or {}
    rgb = 'to_rgb' if stock.library == 'mmpretrain' or 'to_rgb' in old else 'bgr_to_rgb'
    new = dict(mean=weights.mean, std=weights.std)
    new[rgb] = True
    if old.get('rgb_to_bgr'):
        new['rgb_to_bgr'] = False
    if stock.library == 'mmseg' and not old.get('size') and not old.get('size_divisor'):
        new['size'] = stock.size  # without either, MMSegmentation makes no batch
    new = {key: value for key, value in new.items() if old.get(key) != value}
    found = dict(data_preprocessor=new) if new else {}
    return (found, {}) if top else ({}, found)


def _imports(stock: Stock, pyramid: bool) -> dict:
    old = stock.cfg.get('custom_imports') or {}
    imports = [*old.get('imports', []), 'saip_mm', *[PYRAMID] * pyramid]
    return dict(imports=imports)


def dropped_settings(stock: Stock, idle: Sequence[str] = ()) -> list[str]:
    """Settings of a config that the one with our backbone does not have."""
    wrapper = stock.cfg.get('optim_wrapper') or {}
    rules = wrapper.get('paramwise_cfg') or {}
    kept = _custom_keys(wrapper, idle)
    keys = [key for key in rules.get('custom_keys', {}) if key not in kept]
    optimizer = wrapper.get('optimizer', {}).get('type', 'AdamW')
    at = 'optim_wrapper.'
    return [
        f'model.backbone ({stock.model["backbone"]["type"]})',
        *[f'model.{k}' for k in ('pretrained', 'init_cfg') if stock.model.get(k)],
        *([f'{at}optimizer ({optimizer})'] if optimizer != 'AdamW' else []),
        *([f'{at}constructor'] if 'constructor' in wrapper else []),
        *[f'{at}paramwise_cfg.{key}' for key in rules if key != 'custom_keys'],
        *[f'{at}paramwise_cfg.custom_keys[{key!r}]' for key in keys],
        *(['load_from'] if stock.cfg.get('load_from') else []),
    ]


def _custom_keys(wrapper: dict, idle: Sequence[str]) -> dict:
    """What LayerDecay can go on with."""
    keys = (wrapper.get('paramwise_cfg') or {}).get('custom_keys', {})
    return {
        key: mults
        for key, mults in keys.items()
        if key not in idle and set(mults) <= {'lr_mult', 'decay_mult'}
    }


def _optimizer(old: dict | None, idle: Sequence[str]) -> dict:
    """AdamW with layer decay; what else the wrapper does stays."""
    decay = dict(decay_rate=0.75, no_decay=['cls_token', 'pos_embed'])
    if kept := _custom_keys(old or {}, idle):
        decay['custom_keys'] = kept
    if not old:
        decayed = dict(constructor='mmpretrain.LayerDecay', paramwise_cfg=decay)
        adamw = dict(type='AdamW', lr=_LR, weight_decay=0.05)
        return dict(type='OptimWrapper', **decayed, optimizer=adamw)
    if old.get('paramwise_cfg'):
        decay = dict(_delete_=True, **decay)
    new = dict(constructor='mmpretrain.LayerDecay', paramwise_cfg=decay)
    optimizer = old.get('optimizer') or {}
    if optimizer.get('type') != 'AdamW':
        adamw = dict(type='AdamW', lr=_LR, weight_decay=0.05)
        new['optimizer'] = dict(_delete_=True, **adamw) if optimizer else adamw
    return new


def plain(part: object) -> object:
    """A config's values as plain dicts and lists."""
    if isinstance(part, dict):
        return {key: plain(value) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return type(part)(plain(each) for each in part)
    return copy.deepcopy(part)
