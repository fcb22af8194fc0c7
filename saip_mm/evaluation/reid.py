"""Re-identification of people in photographs, without training."""

import os
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ..downstream.market1501 import DISTRACTOR, ReIDImage, read_folder
from ..downstream.retrieval import (
    LabeledFeatures,
    Retrieval,
    evaluate_retrieval,
    report_left_out,
)
from .subject import Subject, log
from .tokens import Readout, choose_readout

QUERY, GALLERY, TRAIN = 'query', 'bounding_box_test', 'bounding_box_train'
MAX_TRAIN = 2000  # images of half of the training people


class LabeledTokens(NamedTuple):
    """Tokens of images whose identity and camera are known."""

    tokens: dict[str, Tensor]
    pids: Tensor
    camids: Tensor


def probe_reid(subject: Subject, folder: str | Path) -> dict[str, float]:
    """Re-identification in a folder like Market-1501, by cosine similarity.

    The readout that is best for other people, those of ``bounding_box_train``, is used;
    without that folder, it is the image token.

    Args:
        subject: Subject of the probe.
        folder: Folder with ``query`` and ``bounding_box_test``, whose file names
            contain identity and camera: ``0002_c1s1_000451_03.jpg``. Identity -1 is
            ignored, 0000 is a distractor.

    Raises:
        OSError: If a folder has no images, or an image cannot be read.
        ValueError: If a name lacks an identity, or no query has a match.
    """
    # All names are checked first: embedding the images takes minutes.
    query, gallery = (_list_images(folder, part) for part in (QUERY, GALLERY))
    people = {image.pid for image in gallery if image.pid > DISTRACTOR}
    name = Path(folder).resolve().name
    log(
        f'{name}: {len(query)} queries; a gallery of {len(gallery)} images, of '
        f'{len(people)} people'
    )
    readout = _choose_readout(subject, folder)
    log(f'{name}: readout: {readout}')
    embedded = [_embed(subject, images) for images in (query, gallery)]
    try:
        result = _retrieve(readout, *embedded)
    except ValueError as error:
        raise ValueError(f'{folder}: {error}') from error
    report_left_out(result)
    return {f'{name}/mAP': result.mean_average_precision, f'{name}/rank1': result.rank1}


def _list_images(folder: str | Path, part: str) -> list[ReIDImage]:
    """The images of one of Market-1501's folders.

    Raises:
        OSError: If the folder does not exist or has no images.
        ValueError: If a file name lacks an identity.
    """
    path = os.path.join(folder, part)
    if not os.path.isdir(path):
        raise NotADirectoryError(
            f'{path}: no such folder; a folder like Market-1501 has {QUERY} and '
            f'{GALLERY}'
        )
    return read_folder(path)


def _choose_readout(subject: Subject, folder: str | Path) -> Readout:
    """The best readout for one half of the training people.

    Whitening is fitted to the other half.
    """
    path = os.path.join(folder, TRAIN)
    if not os.path.isdir(path):
        return Readout()
    images = [image for image in read_folder(path) if image.pid > DISTRACTOR]
    pids = sorted({image.pid for image in images})
    if len(pids) < 2:
        raise ValueError(f'{path}: has {len(pids)} identities, at least 2 are needed')
    halves = [
        [image for image in images if image.pid in half][:MAX_TRAIN]
        for half in (set(pids[::2]), set(pids[1::2]))
    ]
    fitted, selected = (_embed(subject, half) for half in halves)
    try:
        return choose_readout(
            fitted.tokens,
            lambda each: _retrieve(each, selected, selected).mean_average_precision,
        )
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def _retrieve(
    readout: Readout, query: LabeledTokens, gallery: LabeledTokens
) -> Retrieval:
    found = [
        LabeledFeatures(readout(each.tokens), each.pids, each.camids)
        for each in (query, gallery)
    ]
    return evaluate_retrieval(*found)


def _embed(subject: Subject, images: list[ReIDImage]) -> LabeledTokens:
    paths, pids, camids = zip(*images, strict=True)
    tokens = subject.embed(paths).tokens
    return LabeledTokens(tokens, torch.tensor(pids), torch.tensor(camids))
