"""Changes that a config needs for another backbone."""

from collections.abc import Sequence

from mmpretrain.models.backbones import VisionTransformer

from ...checkpoints.backbone import Backbone, backbone_class
from ...data.configs import type_name
from .optimizer import kept_keys, optimizer_for, schedule_of
from .stock import Level, Refusal, Stock


class NotAdaptable(Exception):
    """Neck and heads cannot be given other numbers of input channels."""


def plan_changes(
    stock: Stock,
    ours: Backbone,
    levels: Sequence[Level],
    adapt: bool,
    unused: Sequence[int] = (),
) -> dict:
    """Settings that differ from the stock config, without those of initialization.

    Args:
        stock: The config.
        ours: The new backbone.
        levels, adapt, unused: See ``levels``, ``adapted`` and ``unused`` of `Swapped`.

    Raises:
        NotAdaptable: If ``adapt``, but neck and heads do not state matching channels.
        Refusal: If the backbone cannot produce such levels.
    """
    model = stock.model
    own = _own_levels(ours, levels) if adapt else []
    pyramid = None if own else _pyramid(model, ours, levels, adapt, unused)
    changed = {}
    if adapt:
        last, channels = _last_map(ours)
        strides = pyramid['strides'] if pyramid else [last] * len(levels)
        outputs = [channels // max(last // stride, 1) for stride in strides]
        outputs = [channels for _, channels in own] or outputs
        changed = _consumers(model, levels, outputs)
        if not ours.is_vit and levels[0].stride is None:
            changed['neck'] = dict(type='mmpretrain.GlobalAveragePooling')
            changed['neck'] |= dict(_delete_=True) if 'neck' in model else {}
    if pyramid:
        changed['neck'] = _with_neck(stock, pyramid, changed.get('neck'))
    changed |= {key: None for key in ('pretrained', 'init_cfg') if model.get(key)}
    changed['backbone'] = _backbone(stock, ours, levels, pyramid, own)
    top = {}
    if new := _preprocessor(stock, ours):
        at_top = 'data_preprocessor' not in model and stock.preprocessor
        (top if at_top else changed)['data_preprocessor'] = new
    top |= dict(load_from=None) if stock.cfg.get('load_from') else {}
    if not stock.is_frozen:
        top['optim_wrapper'] = optimizer_for(stock, ours)
    if schedule := schedule_of(stock):
        top['param_scheduler'] = schedule
    imported = (stock.cfg.get('custom_imports') or {}).get('imports', [])
    imports = [
        *([imported] if isinstance(imported, str) else imported),
        'saip_mm',
        *(['saip_mm.downstream.pyramid'] if pyramid else []),
        *(['saip_mm.models.cspnext'] if _is_cspnext(ours) else []),
    ]
    return dict(
        custom_imports=dict(imports=imports),
        **top,
        model=changed,
    )


def _own_levels(ours: Backbone, levels: Sequence[Level]) -> list[tuple[int, int]]:
    """Index and channels of a hierarchical backbone's own maps of these strides.

    Empty if it lacks one, or if its last stage would not be used.
    """
    strides = [level.stride for level in levels]
    if ours.is_vit or strides != sorted({s or 0 for s in strides}):
        return []
    available = _levels_of(ours)
    found = [available[stride] for stride in strides if stride in available]
    last = max(available.values())
    return found if len(found) == len(strides) and last in found else []


def _last_map(ours: Backbone) -> tuple[int, int]:
    """Stride and channels of a backbone's last map."""
    if ours.is_vit:
        return ours.patch_size, ours.config['arch']['embed_dims']
    stride, (_, channels) = max(_levels_of(ours).items())
    return (stride if _is_cspnext(ours) else ours.patch_size), channels


def _is_cspnext(ours: Backbone) -> bool:
    return ours.config['type'] == 'SAIPCSPNeXt'


def _levels_of(ours: Backbone) -> dict[int, tuple[int, int]]:
    """Index and channels of a hierarchical backbone's maps, by stride."""
    kind = ours.config['type']
    owner = backbone_class(kind)
    if not hasattr(owner, 'levels_of'):
        raise Refusal(
            f'the strides of the maps of a {kind} are unknown (it has no levels_of): '
            'set backbone and in_channels in a config of your own'
        )
    return owner.levels_of(ours.config)


def _pyramid(
    model: dict,
    ours: Backbone,
    levels: Sequence[Level],
    adapt: bool,
    unused: Sequence[int],
) -> dict | None:
    """A ``ViTPyramid`` with the given levels; None if the last map suffices."""
    strides, (patch, channels) = [level.stride for level in levels], _last_map(ours)
    if None in strides:
        if len(levels) > 1:
            raise Refusal('its backbone returns vectors, and more than one output')
        if not adapt:
            raise NotAdaptable(
                'its backbone returns a vector, and no head states '
                f'in_channels={levels[0].channels}'
            )
        return None
    if adapt and (set(strides) == {patch} or (len(levels) == 1 and _pools(model))):
        return None
    for stride in strides:
        if stride not in {2**power for power in range(10)}:
            raise Refusal(
                f'its backbone returns maps of stride {stride:.3g}, but a pyramid '
                'supports powers of two only'
            )
    pyramid = dict(
        type='mmpretrain.ViTPyramid',
        in_channels=channels,
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
    """Whether the neck starts with global average pooling."""
    neck = model.get('neck')
    if not isinstance(neck, dict):
        return False
    if type_name(neck) == 'GlobalAveragePooling':
        return set(neck) == {'type'}  # with a kernel size, the stride matters
    return neck.get('with_avg_pool', False)


def _with_neck(stock: Stock, pyramid: dict, changed: dict | list | None) -> object:
    """The pyramid, followed by the config's own neck with its changes."""
    neck = stock.model.get('neck')
    if not neck:
        return dict(pyramid, _delete_=True) if 'neck' in stock.model else pyramid
    if isinstance(neck, list):
        return [pyramid, *(changed or neck)]
    neck = {**neck, **(changed or {})}
    if stock.library == 'mmpose':  # ignores lists of necks silently
        return dict(_delete_=True, **pyramid, neck=neck)
    return [pyramid, neck]


def _consumers(model: dict, levels: Sequence[Level], outputs: list[int]) -> dict:
    """New ``in_channels`` of the neck, or of the heads if no neck has any."""
    channels = [level.channels for level in levels]
    neck, changed = model.get('neck'), {}
    first = neck[0] if isinstance(neck, list) and neck else neck
    if first and type_name(first) == 'ClsBatchNormNeck':  # keeps the number
        changed['neck'] = dict(input_features=outputs[-1])
    elif first and 'in_channels' in first:
        new = _replaced(first, channels, outputs)
        return dict(neck=new if neck is first else [{**first, **new}, *neck[1:]])
    for key, head in model.items():
        if not key.endswith('head') or not head:
            continue
        if isinstance(head, list):  # configs replace lists instead of merging them
            changed[key] = [{**h, **_replaced(h, channels, outputs)} for h in head]
        elif 'in_channels' in head:
            changed[key] = _replaced(head, channels, outputs)
    if changed.keys() <= {'neck'}:
        raise NotAdaptable('neither neck nor heads have in_channels')
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
    raise NotAdaptable(f'in_channels={taken} does not match {channels}')


def _backbone(
    stock: Stock, ours: Backbone, levels: list, pyramid: dict | None, own: list
) -> dict:
    if not ours.is_vit:
        if stock.is_frozen:
            raise Refusal(
                'it trains nothing of its backbone (frozen_stages), which only a ViT '
                'supports here'
            )
        backbone = dict(ours.config, _delete_=True, img_size=stock.size)
        backbone['type'] = f'mmpretrain.{ours.config["type"]}'
        backbone['out_indices'] = [index for index, _ in own] or [4]
        if own and not _is_cspnext(ours):
            backbone['neck_stride'] = 32
        return backbone
    arch, zoo = ours.config['arch'], VisionTransformer.arch_zoo
    names = [n for n in ('deit-tiny', *zoo) if arch.items() == zoo[n].items()]
    backbone = dict(_delete_=True, type='mmpretrain.SAIPViT', img_size=stock.size)
    if names[:1] != ['deit-tiny']:
        backbone['arch'] = names[0] if names else arch
    if ours.patch_size != 16:
        backbone['patch_size'] = ours.patch_size
    if stock.is_frozen:
        backbone['frozen_stages'] = arch['num_layers']
    if levels[0].stride is None:
        backbone['out_type'] = 'cls_token'
    elif not pyramid and len(levels) > 1:
        depth = arch['num_layers'] / len(levels)
        ends = [round(depth * (i + 1)) - 1 for i in range(len(levels))]
        backbone['out_indices'] = ends
    return backbone


def _preprocessor(stock: Stock, ours: Backbone) -> dict:
    """Normalization settings that differ."""
    old = stock.preprocessor
    rgb = 'to_rgb' if stock.library == 'mmpretrain' or 'to_rgb' in old else 'bgr_to_rgb'
    new = {'mean': ours.mean, 'std': ours.std, rgb: True}
    if old.get('rgb_to_bgr'):
        new['rgb_to_bgr'] = False
    if stock.library == 'mmseg' and not old.get('size') and not old.get('size_divisor'):
        new['size'] = stock.size  # MMSegmentation cannot collate without either
    return {key: value for key, value in new.items() if old.get(key) != value}


def dropped_settings(stock: Stock) -> list[str]:
    """Settings of the stock config that the new config replaces or drops."""
    model, wrapper, kept = stock.model, stock.wrapper, kept_keys(stock)
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
        *[f'optim_wrapper.{setting}' for setting in inside if not stock.is_frozen],
        *(['load_from'] if stock.cfg.get('load_from') else []),
        *(['eta_min of param_scheduler'] if schedule_of(stock) else []),
    ]
