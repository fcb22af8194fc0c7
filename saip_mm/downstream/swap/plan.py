"""What has to change in a config for another backbone."""

from collections.abc import Sequence

from mmpretrain.models.backbones import VisionTransformer

from ...checkpoints.backbone import Backbone
from .stock import Level, Refusal, Stock

# Where the config's own optimizer is not AdamW: a start, not tuned.
_ADAMW = dict(type='AdamW', lr=2e-4, weight_decay=0.05)


class NotClean(Exception):
    """Channels cannot simply be replaced where they are used."""


def plan_changes(
    stock: Stock,
    ours: Backbone,
    levels: Sequence[Level],
    adapt: bool,
    unused: Sequence[int] = (),
    idle: Sequence[str] = (),
) -> dict:
    """The differences between a config and the same one with our backbone.

    Args:
        stock: The config.
        ours: The backbone that it is given.
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
    pyramid = _pyramid(model, ours, levels, adapt, unused)
    changed = {}
    if adapt:
        patch, channels = ours.patch_size, ours.arch['embed_dims']
        strides = pyramid['strides'] if pyramid else [patch] * len(levels)
        outputs = [channels // max(patch // stride, 1) for stride in strides]
        changed = _consumers(model, levels, outputs)
    if pyramid:
        neck = _with_neck(stock, pyramid, changed.pop('neck', None))
        changed = dict(neck=neck, **changed)
    changed |= {key: None for key in ('pretrained', 'init_cfg') if model.get(key)}
    backbone = _backbone(stock, ours, levels, pyramid)
    colors = _preprocessor(stock, ours)
    at_top = 'data_preprocessor' not in model and 'data_preprocessor' in stock.cfg
    imports = [
        *(stock.cfg.get('custom_imports') or {}).get('imports', []),
        'saip_mm',
        *(['saip_mm.downstream.pyramid'] if pyramid else []),
    ]
    return dict(
        custom_imports=dict(imports=imports),
        **(colors if at_top else {}),
        model=dict(**({} if at_top else colors), backbone=backbone, **changed),
        optim_wrapper=_optimizer(stock, idle),
        **(dict(load_from=None) if stock.cfg.get('load_from') else {}),
    )


def _pyramid(
    model: dict,
    ours: Backbone,
    levels: Sequence[Level],
    adapt: bool,
    unused: Sequence[int],
) -> dict | None:
    """What makes such levels of a ViT's map; None if that or its token will do."""
    strides, patch = [level.stride for level in levels], ours.patch_size
    if None in strides:
        if len(levels) > 1:
            raise Refusal('its backbone gives vectors, and more than one output')
        if not adapt:
            raise NotClean(
                'its backbone gives a vector, and no head says that it takes '
                f'in_channels={levels[0].channels}'
            )
        return None
    if adapt and (set(strides) == {patch} or (len(levels) == 1 and _pools(model))):
        return None
    for stride in strides:
        if stride not in {2**power for power in range(10)}:
            raise Refusal(
                f'its backbone gives maps of stride {stride:.3g}: a pyramid makes '
                'powers of two only'
            )
    pyramid = dict(
        type='mmpretrain.ViTPyramid',
        in_channels=ours.arch['embed_dims'],
        strides=[patch if i in unused else s for i, s in enumerate(strides)],
    )
    if patch != 16:
        pyramid['in_stride'] = patch
    if not adapt:
        pyramid['out_channels'] = [
            None if i in unused else level.channels for i, level in enumerate(levels)
        ]
    return pyramid


def _pools(model: dict) -> bool:
    """Whether the first thing that happens to the only map is its average."""
    neck = model.get('neck')
    if not isinstance(neck, dict):
        return False
    if neck['type'].split('.')[-1] == 'GlobalAveragePooling':
        return set(neck) == {'type'}  # with a kernel of its own the stride matters
    return neck.get('with_avg_pool', False)


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


def _consumers(model: dict, levels: Sequence[Level], outputs: list[int]) -> dict:
    """New ``in_channels`` of the neck, or of the heads where no neck has any."""
    channels = [level.channels for level in levels]
    neck = model.get('neck')
    first = neck[0] if isinstance(neck, list) and neck else neck
    if first and 'in_channels' in first:
        new = _replaced(first, channels, outputs)
        return dict(neck=new if neck is first else [{**first, **new}, *neck[1:]])
    changed = {}
    for key, head in model.items():
        if not key.endswith('head') or not head:
            continue
        if isinstance(head, list):
            # Lists are not merged in configs: the others have to be said again.
            changed[key] = [{**h, **_replaced(h, channels, outputs)} for h in head]
        elif 'in_channels' in head:
            changed[key] = _replaced(head, channels, outputs)
    if not changed:
        raise NotClean('neither neck nor heads have in_channels')
    return changed


def _replaced(part: dict, channels: list[int], outputs: list[int]) -> dict:
    """``in_channels`` of a neck or head that took ``channels``, for ``outputs``."""
    taken, index = part.get('in_channels'), part.get('in_index')
    if isinstance(taken, list | tuple):
        orders = [range(len(channels)), range(len(channels))[::-1]]
        if isinstance(index, list | tuple):
            orders.insert(0, index)
        for order in orders:
            if list(taken) == [channels[i] for i in order]:
                return dict(in_channels=[outputs[i] for i in order])
    else:
        index = index if isinstance(index, int) else -1
        if taken == channels[index]:
            return dict(in_channels=outputs[index])
    raise NotClean(f'in_channels={taken} are not those of {channels}')


def _backbone(
    stock: Stock, ours: Backbone, levels: Sequence[Level], pyramid: dict | None
) -> dict:
    zoo = VisionTransformer.arch_zoo
    names = [n for n in ('deit-tiny', *zoo) if ours.arch.items() == zoo[n].items()]
    backbone = dict(_delete_=True, type='mmpretrain.SAIPViT')
    if names[:1] != ['deit-tiny']:
        backbone['arch'] = names[0] if names else ours.arch
    backbone['img_size'] = stock.size
    if ours.patch_size != 16:
        backbone['patch_size'] = ours.patch_size
    if levels[0].stride is None:
        backbone['out_type'] = 'cls_token'
    elif not pyramid and len(levels) > 1:
        depth = ours.arch['num_layers'] / len(levels)
        ends = [round(depth * (i + 1)) - 1 for i in range(len(levels))]
        backbone['out_indices'] = ends
    init = dict(type='Pretrained', checkpoint=ours.path)
    if ours.prefix:
        init['prefix'] = ours.prefix
    return dict(backbone, init_cfg=init)


def _preprocessor(stock: Stock, ours: Backbone) -> dict:
    """Normalization, where it is another."""
    old = (
        stock.model.get('data_preprocessor') or stock.cfg.get('data_preprocessor') or {}
    )
    rgb = 'to_rgb' if stock.library == 'mmpretrain' or 'to_rgb' in old else 'bgr_to_rgb'
    new = {'mean': ours.mean, 'std': ours.std, rgb: True}
    if old.get('rgb_to_bgr'):
        new['rgb_to_bgr'] = False
    if stock.library == 'mmseg' and not old.get('size') and not old.get('size_divisor'):
        new['size'] = stock.size  # without either, MMSegmentation makes no batch
    new = {key: value for key, value in new.items() if old.get(key) != value}
    return dict(data_preprocessor=new) if new else {}


def _optimizer(stock: Stock, idle: Sequence[str]) -> dict:
    """AdamW with layer decay; what else the wrapper does stays."""
    old = stock.wrapper
    decay = dict(decay_rate=0.75, no_decay=['cls_token', 'pos_embed'])
    if kept := _kept_keys(stock, idle):
        decay['custom_keys'] = kept
    if old.get('paramwise_cfg'):
        decay = dict(_delete_=True, **decay)
    new = dict(constructor='mmpretrain.LayerDecay', paramwise_cfg=decay)
    if not old:
        new = dict(type='OptimWrapper', **new)
    optimizer = old.get('optimizer') or {}
    if optimizer.get('type') != 'AdamW':
        new['optimizer'] = dict(_delete_=True, **_ADAMW) if optimizer else _ADAMW
    return new


def _kept_keys(stock: Stock, idle: Sequence[str]) -> dict:
    """The ``custom_keys`` that LayerDecay takes as well."""
    keys = (stock.wrapper.get('paramwise_cfg') or {}).get('custom_keys', {})
    return {
        key: factors
        for key, factors in keys.items()
        if key not in idle and set(factors) <= {'lr_mult', 'decay_mult'}
    }


def dropped_settings(stock: Stock, idle: Sequence[str] = ()) -> list[str]:
    """Settings of a config that the one with our backbone does not have."""
    model, wrapper, kept = stock.model, stock.wrapper, _kept_keys(stock, idle)
    rules = wrapper.get('paramwise_cfg') or {}
    keys = [key for key in rules.get('custom_keys', {}) if key not in kept]
    optimizer = wrapper.get('optimizer', {}).get('type', 'AdamW')
    inside = [
        *([f'optimizer ({optimizer})'] if optimizer != 'AdamW' else []),
        *(['constructor'] if 'constructor' in wrapper else []),
        *[f'paramwise_cfg.{key}' for key in rules if key != 'custom_keys'],
        *[f'paramwise_cfg.custom_keys[{key!r}]' for key in keys],
    ]
    return [
        f'model.backbone ({model["backbone"]["type"]})',
        *[f'model.{key}' for key in ('pretrained', 'init_cfg') if model.get(key)],
        *[f'optim_wrapper.{setting}' for setting in inside],
        *(['load_from'] if stock.cfg.get('load_from') else []),
    ]
