"""Outputs of a model: reconstruction, search, attention, neighbors."""

import numpy as np
import torch
from mmengine.dataset import default_collate
from torch import Tensor

from ..data.images import normalize
from ..models import SAIP
from ..models.reconstruction import from_patches, to_patches
from .people import Gallery


def prepare(model: SAIP, samples: list[dict]) -> dict[str, Tensor]:
    """Inputs of :meth:`SAIP.loss` for some samples, with unscaled queries."""
    batch = default_collate([sample['inputs'] for sample in samples])
    return model.data_preprocessor(dict(inputs=batch, scales=(1.0, 1.0)))['inputs']


def normalized(model: SAIP, images: Tensor) -> Tensor:
    """uint8 [N, 3, h, w] -> float, on the model's device."""
    return normalize(images, model.data_preprocessor.mean, model.data_preprocessor.std)


def to_pixels(model: SAIP, images: Tensor) -> Tensor:
    """float [N, 3, h, w] -> uint8, on the CPU."""
    pixels = images * model.data_preprocessor.std + model.data_preprocessor.mean
    return pixels.round().clamp(0, 255).to(torch.uint8).cpu()


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
    """Mask and reconstruct with the teacher.

    Args:
        inputs: As for :meth:`SAIP.loss`.

    Returns:
        uint8 [B, 3, h, w] by name: ``visible``, with removed patches in gray,
        ``reconstruction`` and ``original``.
    """
    teacher = model.teacher['encoder']
    anchor = teacher(inputs['globals'][:, 0], until='middle').middle_token
    prediction, mask = model.reconstruct(teacher, anchor, inputs)
    images, p = inputs['csr'], model.reconstruction.patch_size
    removed = mask.repeat_interleave(p, 1).repeat_interleave(p, 2)[:, None].bool()
    original = to_pixels(model, images)
    filled = to_pixels(model, fill_in(prediction, images, mask, p))
    visible = original.masked_fill(removed.cpu(), 128)
    return dict(visible=visible, reconstruction=filled, original=original)


@torch.inference_mode()
def search(model: SAIP, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Search each scene for its own anchor, and for that of the next sample.

    Args:
        inputs: As for :meth:`SAIP.loss`, of different people.

    Returns:
        Probabilities [B, h, w] of both places.
    """
    teacher = model.teacher['encoder']
    anchors = teacher(inputs['globals'][:, 0], until='middle').middle_tokens
    found = model.find([anchors, anchors.roll(-1, dims=0)], inputs['scene'])
    return found.sigmoid().cpu().unbind(dim=1)


@torch.inference_mode()
def attention(model: SAIP, images: Tensor) -> Tensor | None:
    """Attention of the teacher's class token in the last block.

    Args:
        images: uint8 [B, 3, h·p, w·p].

    Returns:
        Shares of the patches [B, heads, h, w]; None for a backbone without attention.
    """
    encoded = model.teacher['encoder'](normalized(model, images), attention=True)
    if encoded.attention is None:
        return None
    grid = encoded.middle_map.shape[2:]
    return encoded.attention.query_key[:, :, 0, 1:].unflatten(2, grid).cpu()


def nearest(
    features: Tensor, gallery: Gallery, queries: np.ndarray, count: int = 5
) -> np.ndarray:
    """The most similar images of a gallery, by cosine.

    As in re-identification, the query and images of its person by the same camera are
    excluded (all images by that camera if people are unknown).

    Args:
        features: [N, C] of the gallery.
        gallery: N images.
        queries: Indices [Q].
        count: Number of neighbors k.

    Returns:
        Indices [Q, k], nearest first; -1 if there are not enough.
    """
    features = torch.nn.functional.normalize(features.double(), dim=1)
    similarity = (features[queries] @ features.T).numpy()
    excluded = queries[:, None] == np.arange(len(features))
    if gallery.camids is not None:
        same = gallery.camids[queries, None] == gallery.camids
        if gallery.pids is not None:
            same &= gallery.pids[queries, None] == gallery.pids
        excluded |= same
    similarity[excluded] = -np.inf
    ranked = np.argsort(-similarity, kind='stable')[:, :count]
    found = np.take_along_axis(similarity, ranked, 1) > -np.inf
    return np.where(found, ranked, -1)
