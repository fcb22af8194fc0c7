"""Checks of settings that MMEngine would ignore or misread."""

import difflib
import inspect
import logging

from mmengine.config import Config
from mmengine.runner import Runner

# Arguments of MMEngine's runner, and settings that it reads elsewhere.
SETTINGS = {
    *inspect.signature(Runner).parameters,
    'activation_checkpointing',
    'compile',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
}
# Settings whose value can be a tuple.
_TUPLES = {
    'activation_checkpointing',
    'custom_hooks',
    'efficient_conv_bn_eval',
    'param_scheduler',
    'test_evaluator',
    'tta_pipeline',
    'val_evaluator',
}
# Settings of OpenMMLab 1.x, and what replaced them.
_FORMER = {
    'checkpoint_config': 'default_hooks.checkpoint',
    'log_config': 'default_hooks.logger',
    'lr_config': 'param_scheduler',
    'optimizer_config': 'optim_wrapper.clip_grad',
}
_SAME_NAME = 0.92  # similarity of names that differ in a letter


def check_settings(path: str, cfg: Config) -> None:
    """Raise ValueError if a setting of the config would be ignored or misread."""
    for name, value in cfg.items():
        if name in SETTINGS:
            if isinstance(value, tuple) and name not in _TUPLES:
                raise ValueError(
                    f'{path}: {name} is a tuple: remove the comma after its value'
                )
            continue
        if name in _FORMER:
            raise ValueError(
                f'{path}: {name} is a setting of OpenMMLab 1.x and would be ignored: '
                f'use {_FORMER[name]}'
            )
        if close := difflib.get_close_matches(name, SETTINGS, n=1, cutoff=_SAME_NAME):
            raise ValueError(
                f'{path}: {name} is not a setting; did you mean {close[0]}? If it is a '
                'variable, give it another name'
            )
    wrapper = (cfg.get('model_wrapper_cfg') or {}).get('type', '')
    if (
        cfg.get('strategy')
        or cfg.get('runner_type', 'Runner') != 'Runner'
        or 'FullySharded' in str(wrapper)
    ):
        raise ValueError(
            f'{path}: strategy, runner_type and model_wrapper_cfg, for FSDP or '
            'DeepSpeed, are not supported: remove them, and use an OptimWrapper and '
            'AdamW'
        )
    hooks = cfg.get('custom_hooks') or []
    if not isinstance(hooks, list | tuple) or any(isinstance(x, str) for x in hooks):
        raise ValueError(
            f'{path}: custom_hooks should be a list of dictionaries, such as '
            f"[{{'type': 'EMAHook'}}], not {hooks}"
        )
    _check_values(path, cfg)
    _check_keypoints(path, cfg)


def _check_keypoints(path: str, cfg: Config) -> None:
    """Raise ValueError if a head gives another number of keypoints than the data."""
    head = (cfg.get('model') or {}).get('head') or {}
    data = (cfg.get('train_dataloader') or {}).get('dataset') or {}
    named = (data.get('metainfo') or {}).get('keypoint_info')
    if (
        not named
        or head.get('type') not in ('HeatmapHead', 'mmpose.HeatmapHead')
        or 'KeypointConverter' in str(data.get('pipeline'))  # gives another number
    ):
        return
    # UDP's combined targets have three channels per keypoint.
    if (found := head.get('out_channels')) not in (len(named), 3 * len(named)):
        raise ValueError(
            f'{path}: metainfo of train_dataloader.dataset names {len(named)} '
            f'keypoints: set model.head.out_channels={len(named)}, not {found}'
        )


def _check_values(path: str, cfg: Config) -> None:
    level = cfg.get('log_level') or 'INFO'
    if isinstance(logging.getLevelName(level), str) and isinstance(level, str):
        raise ValueError(f'{path}: log_level={level!r} should be a name such as INFO')
    seed = (cfg.get('randomness') or {}).get('seed')
    if seed is not None and not (isinstance(seed, int) and 0 <= seed < 2**32):
        raise ValueError(
            f'{path}: randomness.seed={seed!r} should be an integer from 0 to 2**32 - 1'
        )
    clip = (cfg.get('optim_wrapper') or {}).get('clip_grad')
    if not clip:
        return
    if not isinstance(clip, dict):
        raise ValueError(
            f'{path}: optim_wrapper.clip_grad={clip!r} should be a dictionary, such as '
            'dict(max_norm=3.0)'
        )
    for name in ('max_norm', 'clip_value'):
        if not clip.get(name, 1) > 0:
            raise ValueError(
                f'{path}: optim_wrapper.clip_grad.{name}={clip[name]} would remove or '
                'reverse all gradients; to train without clipping, set '
                'optim_wrapper.clip_grad=None'
            )
