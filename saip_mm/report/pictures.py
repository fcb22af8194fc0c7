"""The sections of the page that show pictures."""

from itertools import chain
from typing import NamedTuple

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn.functional import interpolate

from ..data.masked_view import PARTS
from ..data.views import Crop
from ..models import SAIP
from .people import Gallery, spread
from .visualizations import (
    attention,
    nearest,
    prepare,
    reconstruct,
    search,
)
from .work_dir import Unavailable

INST, ROI = (0, 200, 80), (240, 40, 40)  # colors of the whole person and of a part


class Picture(NamedTuple):
    """An image and the text below it."""

    image: Image.Image
    caption: str
    kind: str = ''
    """CSS class."""


def to_image(image: Tensor) -> Image.Image:
    """uint8 [3, h, w] -> image."""
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def outline(image: Image.Image, crop: Crop, color: tuple[int, int, int]) -> None:
    """Draw a rectangle with a line width proportional to the image."""
    right, bottom = crop.left + crop.width - 1, crop.top + crop.height - 1
    box, width = (crop.left, crop.top, right, bottom), max(2, image.height // 64)
    ImageDraw.Draw(image).rectangle(box, outline=color, width=width)


def heat(image: Tensor, values: Tensor, low: float, high: float) -> Image.Image:
    """Blend a color map into a grayscale image.

    Args:
        image: uint8 [3, H, W].
        values: float [h, w], enlarged bilinearly.
        low: Value of the darkest color.
        high: Value of the brightest color.
    """
    scaled = (values[None, None].float() - low) / max(high - low, 1e-12)
    scaled = interpolate(scaled, tuple(image.shape[1:]), mode='bilinear')[0, 0]
    colors = 255 * matplotlib.colormaps['inferno'](scaled.clamp(0, 1).numpy())[..., :3]
    gray = np.asarray(to_image(image).convert('L'))[..., None]
    return Image.fromarray((0.6 * colors + 0.4 * gray).round().astype(np.uint8))


def show_views(samples: list[dict]) -> dict:
    """The views of some samples."""
    rows = map(view_row, samples)
    return dict(groups=[(title, [row]) for title, row in rows])


def view_row(sample: dict) -> tuple[str, list[Picture]]:
    """Augmentations of a sample's anchor, and all its views.

    Args:
        sample: See :meth:`People.samples`.
    """
    views, inputs = sample['views'], sample['inputs']
    source = Image.fromarray(sample['image'])
    outline(source, views.globals[0].crop, INST)
    outline(source, views.roi.crop, ROI)
    height = inputs['globals'].shape[-2]
    source = source.resize((max(1, height * source.width // source.height), height))
    scene, tokens = to_image(inputs['scene']), inputs['scene'].clone()
    side = tokens.shape[-1] // inputs['scene_masks'].shape[-1]
    masks = inputs['scene_masks'].bool().repeat_interleave(side, 1)
    masks = masks.repeat_interleave(side, 2)
    for mask, place, color in zip(masks, views.places, (INST, ROI), strict=True):
        half = torch.tensor(color, dtype=torch.uint8)[:, None] // 2
        tokens[:, mask] = tokens[:, mask] // 2 + half
        outline(scene, Crop(*place, *views.roi.size), color)
    anchor = views.globals[0]
    steps = [f'{name} {value:.2f}' for name, value in anchor.colors.jitter]
    steps += ['gray'] * anchor.colors.gray + ['flip'] * anchor.flip
    steps += [f'blur {anchor.blur:.1f}'] if anchor.blur else []
    return f'{sample["source"]}   anchor: {", ".join(steps) or "no change"}', [
        Picture(source, 'source'),
        Picture(to_image(inputs['globals'][0]), 'anchor'),
        Picture(to_image(inputs['globals'][1]), 'global_1'),
        Picture(_grid(list(inputs['locals'])), 'locals'),
        Picture(_grid([inputs['roi'], inputs['inst']]), 'roi, inst'),
        Picture(scene, 'scene'),
        Picture(to_image(tokens), 'scene tokens'),
    ]


def masked_row(sample: dict) -> tuple[str, list[Picture]]:
    """A view for HAP with the limbs that guide its masks, and what they keep.

    Args:
        sample: ``view`` of ``DrawMaskedView``, ``inputs`` of ``ApplyMaskedView`` and
            ``source``.
    """
    view, image = sample['view'], sample['inputs']['image']
    limbs, side = to_image(image), image.shape[1] // view.masks.shape[1]
    points = () if view.keypoints is None else view.keypoints
    for first, last in chain(*PARTS.values()) if len(points) else ():
        ends = points[[first, last]]
        if (ends[:, 2] > 0).all():
            line = ends[:, :2].ravel().tolist()
            ImageDraw.Draw(limbs).line(line, fill=INST, width=max(2, side // 8))
    row = [Picture(to_image(image), 'view'), Picture(limbs, 'limbs')]
    for number, mask in enumerate(view.masks):
        removed = torch.from_numpy(mask.repeat(side, 0).repeat(side, 1))
        kept = to_image(image.masked_fill(removed, 128))
        row.append(Picture(kept, f'mask {number}: {mask.mean():.0%}'))
    return sample['source'], row


def show_reconstruction(model: SAIP, samples: list[dict]) -> dict:
    """Anchor, masked view, reconstruction and original."""
    if model.reconstruction is None:
        raise Unavailable('This model has no reconstruction head.')
    anchors = [sample['inputs']['globals'][0] for sample in samples]
    shown = dict(anchor=anchors) | reconstruct(model, prepare(model, samples))
    groups = []
    for row in zip(*shown.values(), strict=True):
        named = zip(row, shown, strict=True)
        groups.append(('', [[Picture(to_image(image), name) for image, name in named]]))
    return dict(groups=groups)


def show_search(model: SAIP, samples: list[dict]) -> dict:
    """Heat maps in a scene for its own query and for a stranger's."""
    if model.search is None:
        raise Unavailable('This model has no search head.')
    if len(samples) < 2:
        raise Unavailable('There is only one person, hence no stranger.')
    right, wrong = search(model, prepare(model, samples))
    strangers = samples[1:] + samples[:1]
    rows = []
    for sample, other, *maps in zip(samples, strangers, right, wrong, strict=True):
        inputs, views = sample['inputs'], sample['views']
        place = Crop(*views.places[0], *views.roi.size)
        inside, high = (
            inputs['scene_masks'][0].bool(),
            max(m.max().item() for m in maps),
        )
        scene = to_image(inputs['scene'])
        outline(scene, place, INST)
        row = [Picture(scene, 'scene')]
        for name, person, values in zip(
            ('query', 'stranger'), (sample, other), maps, strict=True
        ):
            found = heat(inputs['scene'], values, 0, high)
            outline(found, place, INST)
            means = f'{values[inside].mean():.2f} in, {values[~inside].mean():.2f} out'
            row.append(Picture(to_image(person['inputs']['globals'][0]), name))
            row.append(Picture(found, f'{name}: {means}'))
        rows.append(row)
    return dict(groups=[('', rows)])


def show_attention(model: SAIP, gallery: Gallery, count: int = 6) -> dict:
    """Attention of the class token: mean of the heads, then each head."""
    images = gallery.images[spread(len(gallery.images), count)]
    maps = attention(model, images)
    if maps is None:
        raise Unavailable('This backbone has no attention.')
    groups = []
    for image, heads in zip(images, maps, strict=True):
        row = [Picture(to_image(image), 'image')]
        names = ['mean', *(f'head {i + 1}' for i in range(min(6, len(heads))))]
        for name, values in zip(names, [heads.mean(dim=0), *heads], strict=False):
            low, high = values.min().item(), values.max().item()
            caption = f'{name} {100 * low:.1f}–{100 * high:.1f}%'
            row.append(Picture(heat(image, values, low, high), caption))
        groups.append(('', [row]))
    return dict(groups=groups)


def show_neighbors(tokens: dict[str, Tensor], gallery: Gallery, count: int = 6) -> dict:
    """Queries and their nearest neighbors by two models' image tokens [N, C]."""
    if len(gallery.images) < 2:
        raise Unavailable('There is only one image, hence no neighbors.')
    people, queries = gallery.pids, np.arange(len(gallery.images))
    if people is not None:
        _, queries = np.unique(people, return_index=True)
    queries = queries[spread(len(queries), count)]
    groups, ranked = [], []
    for name, features in tokens.items():
        found = nearest(features, gallery, queries)
        if people is not None:
            right = (people[found] == people[queries, None]) & (found >= 0)
            name += f': {right.sum()} of {(found >= 0).sum()} neighbors right'
        rows = [_neighbors(gallery, *row) for row in zip(queries, found, strict=True)]
        groups.append((name, rows))
        ranked.append(found)
    kept, total = ((ranked[0] == ranked[1]) & (found >= 0)).sum(), (found >= 0).sum()
    note = f'{kept} of {total} neighbors are the same, rank by rank, before and now.'
    if kept > 0.9 * total:
        note += (
            ' The teacher has hardly changed: train longer, or lower its momentum '
            '(default_hooks.saip.max_initial_share).'
        )
    return dict(groups=groups, note=note)


def _neighbors(gallery: Gallery, query: int, neighbors: np.ndarray) -> list[Picture]:
    row = [Picture(to_image(gallery.images[query]), 'query', 'query')]
    for rank, index in enumerate(neighbors[neighbors >= 0], 1):
        caption, kind = f'{rank}', 'unknown'
        if gallery.pids is not None:
            same = gallery.pids[index] == gallery.pids[query]
            caption += ' ✓ same' if same else ' ✗ other'
            kind = 'right' if same else 'wrong'
        row.append(Picture(to_image(gallery.images[index]), caption, kind))
    return row


def _grid(images: list[Tensor], rows: int = 2, gap: int = 4) -> Image.Image:
    """Images of one size, column by column, with transparent gaps."""
    height, width = (side + gap for side in images[0].shape[1:])
    columns = -(-len(images) // rows)
    canvas = Image.new('RGBA', (columns * width - gap, rows * height - gap))
    for i, image in enumerate(images):
        canvas.paste(to_image(image), (i // rows * width, i % rows * height))
    return canvas
