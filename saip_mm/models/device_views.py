"""Views of a batch, made on the model's device from images and packed records.

Resizing and blurring are linear in the rows and in the columns of an image. Each is
therefore two matrix products, with matrices computed from the record: a few large
kernels for all views of a batch, regardless of crops, flips and strengths.
"""

from collections.abc import Callable

import torch
from mmengine.config import ConfigDict
from mmpretrain.registry import TRANSFORMS
from torch import Tensor
from torch.utils.data import default_collate
from torchvision.transforms.v2 import functional as tvf

from ..data.configs import pipeline_of
from ..data.images import resize
from ..data.pack_views import JITTER, PackedView, PackViews
from ..data.views import Size


def pop_views(dataset: ConfigDict) -> Callable[[dict], dict]:
    """Remove the last step of a data set's pipeline, which makes views or leaves them
    to the model (``PackViews``); return a transform that makes them as in training.
    All parts of a concatenation get the pipeline of the first."""
    pipeline = pipeline_of(dataset)
    step = TRANSFORMS.build(pipeline.pop())
    _set_pipeline(dataset, pipeline)
    if not isinstance(step, PackViews):
        return step

    def transform(results: dict) -> dict:
        views = make_views(default_collate([step(results)['inputs']]))
        return dict(inputs={name: view[0] for name, view in views.items()})

    return transform


def _set_pipeline(dataset: ConfigDict, pipeline: list[dict]) -> None:
    dataset.pipeline = pipeline
    for part in dataset.get('datasets', ()):
        _set_pipeline(part, pipeline)


def make_views(packed: dict[str, Tensor]) -> dict[str, Tensor]:
    """Compute the views of ``ApplyViews`` for a batch of ``PackViews``.

    Args:
        packed: See :class:`~saip_mm.data.pack_views.PackViews`, stacked.

    Returns:
        As from :class:`~saip_mm.data.apply_views.ApplyViews`, stacked.
    """
    image = packed['image'].float()
    globals_ = _make(image, packed['view_globals'], packed['size_globals'].shape[-2:])
    views = dict(globals=globals_)
    if 'view_locals' in packed:
        size = packed['size_locals'].shape[-2:]
        locals_ = _make(image, packed['view_locals'], size)
        locals_, roi = locals_[:, :-1], locals_[:, -1]
        inst = resize(globals_[:, 0], size).clamp_(0, 255).round_()
        views |= dict(locals=locals_, roi=roi, inst=inst)
    if 'view_scene' in packed:
        scene_image = packed['scene_image'].float()
        size = packed['size_scene'].shape[-2:]
        scene = _make(scene_image, packed['view_scene'], size)[:, 0]
        for number, person in enumerate((inst, roi)):
            _paste(scene, person, packed['places'][:, number], packed['opacity'])
        views['scene'] = scene
    views = {name: view.to(torch.uint8) for name, view in views.items()}
    kept = packed.keys() & {'scene_masks', 'csr_noise'}
    return views | {name: packed[name] for name in kept}


def _make(images: Tensor, numbers: Tensor, size: Size) -> Tensor:
    """V views of each image.

    Args:
        images: float32 [B, 3, H, W], 0–255.
        numbers: float32 [B, V, 16], see ``PackedView``.
        size: (h, w)

    Returns:
        float32 [B, V, 3, h, w], whole numbers from 0 to 255.
    """
    view = PackedView.unpack(numbers)
    top, left, height, width = view.crop.unbind(-1)
    rows = resize_matrix(top, height, size[0], images.shape[2])
    columns = resize_matrix(left, width, size[1], images.shape[3])
    columns = torch.where(view.flip[..., None] > 0, columns.flip(-2), columns)
    # Rows first is the cheaper order.
    views = _product(rows, images[:, None], columns).clamp_(0, 255).round_().div_(255)
    views = _recolor(views, view)
    blurring = (blur_matrix(view.blur[..., 0], side) for side in size)
    views = _product(next(blurring), views, next(blurring))
    views = views.mul_(255).round_()
    threshold = view.solarize[..., None, None]
    return torch.where(views >= threshold, 255 - views, views)


def _product(rows: Tensor, images: Tensor, columns: Tensor) -> Tensor:
    """[B, V, h, H], [B, V or 1, 3, H, W], [B, V, w, W] -> float32 [B, V, 3, h, w]"""
    with torch.autocast(images.device.type, enabled=False):
        return rows[:, :, None] @ images @ columns[:, :, None].mT


def resize_matrix(start: Tensor, length: Tensor, size: int, whole: int) -> Tensor:
    """Antialiased bicubic interpolation of a range of pixels, as a matrix.

    Args:
        start: [...] first pixel of the range.
        length: [...] number of its pixels.
        size: Number of output pixels.
        whole: Number of input pixels.

    Returns:
        float32 [..., size, whole]; rows sum to 1.
    """
    start, length = start[..., None, None], length[..., None, None]
    source = torch.arange(whole, device=start.device, dtype=start.dtype)
    target = torch.arange(size, device=start.device, dtype=start.dtype)[:, None]
    scale = length / size
    offset = source + 0.5 - start  # within the range
    distance = ((offset - (target + 0.5) * scale) / scale.clamp_min(1)).abs()
    # Keys' cubic with a = -0.5, which Pillow and torch use with antialiasing.
    near = (1.5 * distance - 2.5) * distance.square() + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    weights = torch.where(distance < 1, near, far)
    inside = (distance < 2) & (offset >= 0) & (offset < length)
    weights = weights * inside
    return weights / weights.sum(-1, keepdim=True)


def blur_matrix(sigma: Tensor, size: int) -> Tensor:
    """Gaussian blur of ``size`` pixels as a matrix: cut off at 3 sigma, ends reflected.

    Args:
        sigma: [...] standard deviations in pixels; 0 for no blur.

    Returns:
        float32 [..., size, size]
    """
    sigma = sigma[..., None, None]
    radius = (3 * sigma).ceil().clamp_max(size - 1)
    safe = sigma.clamp_min(1e-3)

    def taps(distance: Tensor) -> Tensor:
        return torch.exp(-0.5 * (distance / safe).square()) * (distance <= radius)

    source = torch.arange(size, device=sigma.device, dtype=sigma.dtype)
    target = source[:, None]
    weights = taps((target - source).abs())
    weights = weights + taps(target + source) * (source > 0)
    last = size - 1
    weights = weights + taps(2 * last - target - source) * (source < last)
    return weights / weights.sum(-1, keepdim=True)


def _recolor(images: Tensor, view: PackedView) -> Tensor:
    """Color jitter, then grayscale, of images [B, V, 3, h, w] in [0, 1].

    Each image has its own order of changes. Each turn therefore blends and shifts hues,
    one of them with a neutral factor.
    """
    factors = view.factors.gather(-1, view.order.long())[..., None, None, None]
    changes = view.order[..., None, None, None]
    for change, factor in zip(changes.unbind(2), factors.unbind(2), strict=True):
        is_hue = change == JITTER.index('hue')
        share = torch.where(is_hue, 1, factor)
        # Brightness blends with black, contrast with the mean gray, saturation with
        # the grayscale image.
        other = tvf.rgb_to_grayscale(images)
        mean = other.mean((-3, -2, -1), keepdim=True)
        other = torch.where(change == JITTER.index('contrast'), mean, other)
        other = other * (change != JITTER.index('brightness'))
        images = images * share + other * (1 - share)  # clamped below
        images = shift_hue(images, torch.where(is_hue, factor, 0)[..., 0])
    gray = tvf.rgb_to_grayscale(images)
    return torch.where(view.gray[..., None, None] > 0, gray, images)


def shift_hue(images: Tensor, turns: float | Tensor) -> Tensor:
    """Shift hues like torchvision's ``adjust_hue``.

    Avoids per-pixel branches: with hue H in sixths of a turn, V = max and C = max - min
    of a pixel, its values are V - C * clamp(|H - n| - 1, 0, 1), where n = 0, 2, 4 for
    red, green, blue and |.| is the distance on the circle: the HSV hexcone (Smith 1978)
    as one formula.

    Args:
        images: float32 [..., 3, h, w] in [0, 1].
        turns: Shift in [-0.5, 0.5] turns.
    """
    red, green, blue = images.unbind(-3)
    # Sort the values and record the swaps: H = |swaps + (middle - low) / C|.
    swapped = (blue - green).gt_(0)
    upper, lower = torch.maximum(green, blue), torch.minimum(green, blue)
    low = torch.minimum(lower, red)
    high, middle = torch.maximum(upper, red), torch.minimum(upper, red)
    offset = swapped.mul(12).sub_(2).mul_((upper - red).gt_(0)).sub_(swapped, alpha=6)
    chroma = high - low
    hue = (middle - lower).div_(chroma.clamp_min(1e-9)).add_(offset).abs_()
    hue = hue.add_(6 * turns).unsqueeze(-3)  # in [-3, 9]
    # Created on the device: a copy from the host would synchronize.
    centers = torch.arange(0, 6, 2, device=hue.device, dtype=hue.dtype).view(3, 1, 1)
    # ||x - 3| - 3| is the distance x, up to 9, on a circle of 6.
    distance = (hue - centers).abs_().sub_(3).abs_().sub_(3).abs_().clamp_(1, 2)
    chroma, high = chroma.unsqueeze(-3), high.unsqueeze(-3)
    return distance.mul_(chroma).neg_().add_(high + chroma).clamp_(0, 1)


def _paste(scenes: Tensor, people: Tensor, places: Tensor, opacity: Tensor) -> None:
    """Blend a person into each scene, in place.

    Args:
        scenes: [B, 3, H, W], 0–255.
        people: [B, 3, h, w], 0–255.
        places: int64 [B, 2] (top, left) in the scene.
        opacity: [B] the person's share.
    """
    height, width = people.shape[-2:]
    device = scenes.device
    image = torch.arange(len(scenes), device=device)[:, None, None]
    row = places[:, 0, None, None] + torch.arange(height, device=device)[:, None]
    column = places[:, 1, None, None] + torch.arange(width, device=device)
    region = scenes[image, :, row, column]  # [B, h, w, 3]
    share = opacity[:, None, None, None]
    scenes[image, :, row, column] = region.lerp(
        people.permute(0, 2, 3, 1), share
    ).round()
