"""What a model has learned: reconstruction, search, attention, neighbors.

The functions ``show_…`` return groups of rows of pictures, each with a title.
"""

import numpy as np
import torch
from mmengine.dataset import default_collate
from torch import Tensor

from ..data.images import normalize
from ..data.views import Crop
from ..evaluation.subject import spread
from ..models import SAIP
from ..models.reconstruction import from_patches, to_patches
from .people import Gallery
from .pictures import INST, Picture, enlarge, heat, outline, to_image
from .work_dir import Unavailable

SHOWN = 6  # images with their attention, and queries with their neighbors
Groups = list[tuple[str, list[list[Picture]]]]


def prepare(model: SAIP, samples: list[dict]) -> dict[str, Tensor]:
    """Inputs of :meth:`SAIP.loss` for some samples, with unscaled queries."""
    batch = default_collate([sample['inputs'] for sample in samples])
    return model.data_preprocessor(dict(inputs=batch, scales=(1.0, 1.0)))['inputs']


def fill_in(
    prediction: Tensor, images: Tensor, mask: Tensor, patch_size: int
) -> Tensor:
    """Replace removed patches by predicted ones.

    The head predicts patches with zero mean and unit variance; mean and deviation are
    those of the true patch.

    Args:
        prediction: [B, h·w, 3·p²].
        images: [B, 3, h·p, w·p], normalized.
        mask: [B, h, w], 1 where the patch was removed.

    Returns:
        [B, 3, h·p, w·p], normalized.
    """
    true = to_patches(images, patch_size)
    variance, mean = torch.var_mean(true, dim=-1, keepdim=True)
    predicted = prediction * (variance + 1e-6).sqrt() + mean
    patches = torch.where(mask.flatten(1)[..., None].bool(), predicted, true)
    return from_patches(patches, tuple(mask.shape[1:]), patch_size)


@torch.inference_mode()
def reconstruct(model: SAIP, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Mask and reconstruct with the teacher, for inputs of :meth:`SAIP.loss`.

    Returns:
        uint8 [B, 3, h, w] by name: ``visible``, with removed patches in gray,
        ``reconstruction`` and ``original``.
    """
    teacher, preprocessor = model.teacher['encoder'], model.data_preprocessor
    anchor = teacher(inputs['globals'][:, 0], until='middle').middle_token
    prediction, mask = model.reconstruct(teacher, anchor, inputs)
    images, p = inputs['csr'], model.reconstruction.patch_size
    filled = fill_in(prediction, images, mask, p)
    filled, original = (
        (each * preprocessor.std + preprocessor.mean).round().clamp(0, 255).byte().cpu()
        for each in (filled, images)
    )
    removed = enlarge(mask, p)[:, None].bool().cpu()
    visible = original.masked_fill(removed, 128)
    return dict(visible=visible, reconstruction=filled, original=original)


def show_reconstruction(model: SAIP, samples: list[dict]) -> Groups:
    """Anchor, if it is used, masked view, reconstruction and original."""
    if model.reconstruction is None:
        raise Unavailable('This model has no reconstruction head.')
    shown = reconstruct(model, prepare(model, samples))
    if model.reconstruction.anchor:
        anchors = [sample['inputs']['globals'][0] for sample in samples]
        shown = dict(anchor=anchors) | shown
    return [
        ('', [[Picture(to_image(x), name) for x, name in zip(row, shown, strict=True)]])
        for row in zip(*shown.values(), strict=True)
    ]


@torch.inference_mode()
def search(model: SAIP, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Search each scene for its own anchor, and for that of the next sample.

    Returns:
        Probabilities [B, h, w] of both places, for inputs of :meth:`SAIP.loss`.
    """
    teacher = model.teacher['encoder']
    anchors = teacher(inputs['globals'][:, 0], until='middle').middle_tokens
    found = model.find([anchors, anchors.roll(-1, dims=0)], inputs['scene'])
    return found.sigmoid().cpu().unbind(dim=1)


def show_search(model: SAIP, samples: list[dict]) -> Groups:
    """Heat maps in a scene for its own query and for a stranger's."""
    if model.search is None:
        raise Unavailable('This model has no search head.')
    if len(samples) < 2:
        raise Unavailable('There is only one person, hence no stranger.')
    rows, strangers = [], samples[1:] + samples[:1]
    maps = zip(*search(model, prepare(model, samples)), strict=True)
    for sample, stranger, found in zip(samples, strangers, maps, strict=True):
        scene, views = sample['inputs']['scene'], sample['views']
        inside = sample['inputs']['scene_masks'][0].bool()
        place = Crop(*views.places[0], *views.roi.size)
        high = max(values.max().item() for values in found)
        row = [Picture(to_image(scene), 'scene')]
        for name, query, values in zip(
            ('query', 'stranger'), (sample, stranger), found, strict=True
        ):
            means = f'{values[inside].mean():.2f} in, {values[~inside].mean():.2f} out'
            row.append(Picture(to_image(query['inputs']['globals'][0]), name))
            row.append(Picture(heat(scene, values, 0, high), f'{name}: {means}'))
        for picture in row[::2]:
            outline(picture.image, place, INST)
        rows.append(row)
    return [('', rows)]


@torch.inference_mode()
def attention(model: SAIP, images: Tensor) -> Tensor | None:
    """Attention of the teacher's class token in the last block.

    Returns:
        Shares of the patches [B, heads, h, w] of uint8 images [B, 3, h·p, w·p]; None
        for a backbone without attention.
    """
    preprocessor = model.data_preprocessor
    images = normalize(images, preprocessor.mean, preprocessor.std)
    encoded = model.teacher['encoder'](images, attention=True)
    if encoded.attention is None:
        return None
    grid = encoded.middle_map.shape[2:]
    return encoded.attention.query_key[:, :, 0, 1:].unflatten(2, grid).cpu()


def show_attention(model: SAIP, gallery: Gallery) -> Groups:
    """Attention of the class token: mean of the heads, then the first six heads."""
    images = gallery.images[spread(len(gallery.images), SHOWN)]
    maps = attention(model, images)
    if maps is None:
        raise Unavailable('This backbone has no attention.')
    groups = []
    for image, heads in zip(images, maps, strict=True):
        row = [Picture(to_image(image), 'image')]
        named = {f'head {number}': each for number, each in enumerate(heads[:6], 1)}
        for name, values in {'mean': heads.mean(dim=0), **named}.items():
            low, high = values.min().item(), values.max().item()
            # A word joiner, so that no line ends within the range.
            caption = f'{name} {100 * low:.1f}–\u2060{100 * high:.1f}%'
            row.append(Picture(heat(image, values, low, high), caption))
        groups.append(('', [row]))
    return groups


def nearest(
    features: Tensor, gallery: Gallery, queries: np.ndarray, count: int = 5
) -> np.ndarray:
    """The most similar images of a gallery [Q, count], by cosine; -1 if fewer.

    As in re-identification, images of the same person by the same camera are excluded.

    Args:
        features: [N, C] of the gallery.
        queries: [Q], indices of its images.
    """
    features = torch.nn.functional.normalize(features.double(), dim=1)
    similarity = (features[queries] @ features.T).numpy()
    same = gallery.pids[queries, None] == gallery.pids
    same &= gallery.camids[queries, None] == gallery.camids
    similarity[same] = -np.inf
    ranked = np.argsort(-similarity, kind='stable')[:, :count]
    found = np.take_along_axis(similarity, ranked, 1) > -np.inf
    return np.where(found, ranked, -1)


def show_neighbors(tokens: dict[str, Tensor], gallery: Gallery) -> tuple[Groups, str]:
    """Queries and their nearest neighbors by several models' image tokens [N, C].

    Returns:
        The groups, and a note that compares the first two models.
    """
    if len(gallery.images) < 2:
        raise Unavailable('There is only one image, hence no neighbors.')
    _, queries = np.unique(gallery.pids, return_index=True)
    queries = queries[spread(len(queries), SHOWN)]
    groups, ranked = [], []
    for name, features in tokens.items():
        found = nearest(features, gallery, queries)
        if gallery.known:
            right = (gallery.pids[found] == gallery.pids[queries, None]) & (found >= 0)
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
    return groups, note


def _neighbors(gallery: Gallery, query: int, neighbors: np.ndarray) -> list[Picture]:
    row = [Picture(to_image(gallery.images[query]), 'query', 'query')]
    for rank, index in enumerate(neighbors[neighbors >= 0], 1):
        caption, kind = f'{rank}', 'unknown'
        if gallery.known:
            same = gallery.pids[index] == gallery.pids[query]
            caption += ' ✓ same' if same else ' ✗ other'
            kind = 'right' if same else 'wrong'
        row.append(Picture(to_image(gallery.images[index]), caption, kind))
    return row
