"""The size of the images that a config trains on."""

from collections.abc import Iterator

from mmengine.config import Config

# Settings of transforms that decide it, the more decisive first, and whether a pair of
# them is (w, h) there.
_SETTINGS = dict(input_size=True, crop_size=False, scale=True, size=False)
_FALLBACK = dict(mmpose=(256, 192), mmdet=(800, 1344), mmseg=(512, 512))


def training_size(cfg: Config) -> tuple[int, int]:
    """(h, w) in pixels, multiples of 32 for MMDetection, which pads its batches.

    Positions are resized at run time, so that a size not found, or one of several, is
    no harm.
    """
    library = cfg.default_scope
    size = None
    if library == 'mmseg':
        size = _pair(cfg.model.get('data_preprocessor', {}).get('size'), False)
    steps = list(transforms(cfg))
    for key, width_first in _SETTINGS.items():
        for step in steps:
            size = size or _pair(step.get(key), width_first)
    size = size or _FALLBACK.get(library, (224, 224))
    if library == 'mmdet':
        size = tuple(-(-side // 32) * 32 for side in size)
        # (1333, 800) bounds the long and the short side; most images lie on their side.
        size = tuple(sorted(size))
    return size


def transforms(cfg: Config) -> Iterator[dict]:
    """Every transform of the training data, also those inside others."""
    data = cfg.get('train_dataloader') or {}
    yield from _dicts(data.get('dataset', {}))


def _dicts(part: object) -> Iterator[dict]:
    if isinstance(part, dict):
        if 'type' in part:
            yield part
        part = list(part.values())
    if isinstance(part, list | tuple):
        for each in part:
            yield from _dicts(each)


def _pair(value: object, width_first: bool) -> tuple[int, int] | None:
    """(h, w) of a setting; None where it is no size in pixels."""
    if type(value) is int:
        value = (value, value)
    if (
        not isinstance(value, list | tuple)
        or len(value) != 2
        or not all(type(side) is int and side >= 32 for side in value)
    ):
        return None
    return tuple(value[::-1] if width_first else value)
