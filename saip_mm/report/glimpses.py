"""What a model makes of images: fillings, places, attention, neighbours."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..models import SAIP
from ..models.reconstruction import from_patches, to_patches
from .model import denormalise, normalise
from .people import Gallery


class Filling(NamedTuple):
    """A reconstruction, uint8 [B, 3, h, w] each."""

    masked: Tensor
    """Removed patches are grey."""
    filled: Tensor
    """Removed patches are predicted."""
    original: Tensor


class Places(NamedTuple):
    """Where queries are in scenes, by the search head: [B, h, w] probabilities."""

    right: Tensor
    """For the query whose person is in the scene."""
    stranger: Tensor
    """For the query of another person."""


def fill_in(
    prediction: Tensor, images: Tensor, mask: Tensor, patch_size: int
) -> Tensor:
    """Put predicted patches into images.

    The head predicts patches of mean 0 and variance 1. What it cannot know, mean and
    deviation of each, are taken from the true patch; visible patches stay.

    Args:
        prediction: [B, h·w, 3·p²].
        images: [B, 3, h·p, w·p], normalised.
        mask: [B, h, w], 1 where the patch was removed.

    Returns:
        [B, 3, h·p, w·p], normalised.
    """
    true = to_patches(images, patch_size)
    variance, mean = torch.var_mean(true, dim=-1, keepdim=True)
    predicted = prediction * (variance + 1e-6).sqrt() + mean
    removed = mask.flatten(1)[..., None].bool()
    patches = torch.where(removed, predicted, true)
    return from_patches(patches, tuple(mask.shape[1:]), patch_size)


@torch.inference_mode()
def reconstruct(model: SAIP, inputs: dict[str, Tensor]) -> Filling:
    """Mask and fill in, with the teacher's tokens.

    Args:
        inputs: As :meth:`SAIP.loss` takes them.
    """
    teacher = model.teacher['encoder']
    anchor = teacher(inputs['globals'][:, 0], until='middle').middle_token
    prediction, mask = model.reconstruct(teacher, anchor, inputs)
    images, p = inputs['csr'], model.reconstruction.patch_size
    removed = mask.repeat_interleave(p, 1).repeat_interleave(p, 2)[:, None].bool()
    grey = model.data_preprocessor.mean.new_full((3, 1, 1), 128)
    grey = normalise(model, grey)
    return Filling(
        masked=denormalise(model, torch.where(removed, grey, images)),
        filled=denormalise(model, fill_in(prediction, images, mask, p)),
        original=denormalise(model, images),
    )


@torch.inference_mode()
def search(model: SAIP, inputs: dict[str, Tensor]) -> Places:
    """Search every scene for the anchor of its sample and for that of the next one.

    Args:
        inputs: As :meth:`SAIP.loss` takes them, of different people.
    """
    teacher = model.teacher['encoder']
    anchors = teacher(inputs['globals'][:, 0], until='middle').middle_tokens
    found = model.find([anchors, anchors.roll(-1, dims=0)], inputs['scene'])
    right, stranger = found.sigmoid().cpu().unbind(dim=1)
    return Places(right, stranger)


@torch.inference_mode()
def attention(model: SAIP, images: Tensor) -> Tensor | None:
    """Attention of the teacher's class token in the last block.

    Args:
        images: uint8 [B, 3, h·p, w·p].

    Returns:
        [B, heads, h, w], the share of every patch; None of a backbone without
        attention.
    """
    encoded = model.teacher['encoder'](normalise(model, images), attention=True)
    if encoded.attention is None:
        return None
    grid = encoded.middle_map.shape[2:]
    return encoded.attention.query_key[:, :, 0, 1:].unflatten(2, grid).cpu()


def nearest(
    features: Tensor, gallery: Gallery, queries: np.ndarray, count: int = 5
) -> list[np.ndarray]:
    """The images of a gallery that are most like some of them, by cosine.

    Left out are the query itself and, as in re-identification, what shows the query's
    person to the query's camera (any image of that camera, where persons are unknown).

    Args:
        features: [N, C] of the gallery's images.
        gallery: Images, identities and cameras.
        queries: Indices [Q].
        count: How many neighbours.

    Returns:
        For every query the indices of its neighbours, nearest first.
    """
    features = torch.nn.functional.normalize(features.double(), dim=1)
    rows = []
    for query in queries:
        left_out = np.arange(len(features)) == query
        if gallery.cameras is not None:
            alike = gallery.cameras == gallery.cameras[query]
            if gallery.identities is not None:
                alike &= gallery.identities == gallery.identities[query]
            left_out |= alike
        likeness = (features @ features[query]).numpy()
        order = np.argsort(-likeness, kind='stable')
        rows.append(order[~left_out[order]][:count])
    return rows
