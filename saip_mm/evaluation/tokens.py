"""Probes of image tokens: re-identification, attributes, measures without labels.

Which token of an image is compared, and whether it is whitened, is chosen on training
people.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..data.folders import find_images
from ..data.images import ImageError, read_image
from ..downstream.attributes_csv import read_attributes
from ..downstream.market1501 import DISTRACTOR, ReIDImage, read_folder
from ..downstream.retrieval import (
    LabeledFeatures,
    Retrieval,
    evaluate_retrieval,
    report_left_out,
)
from ..models.matching import token_spread
from .readout import LinearMap, attribute_accuracy, fit_whitening
from .subject import Subject, log, score_name, spread, thinned

QUERY, GALLERY, TRAIN = 'query', 'bounding_box_test', 'bounding_box_train'
MAX_TRAIN = 2000  # images of each half of the training people
MAX_LABELED = 4000  # images of a split with attributes
MAX_UNLABELED = 2000


class Readout(NamedTuple):
    """Which features of images are compared."""

    token: str = 'image'
    whitening: LinearMap | None = None

    def __call__(self, tokens: dict[str, Tensor]) -> Tensor:
        """Tokens [N, D] by name → features [N, K]."""
        features = tokens[self.token]
        return features if self.whitening is None else self.whitening(features)

    def __str__(self) -> str:
        return f'{self.token} token{"" if self.whitening is None else ", whitened"}'


def choose_readout(
    fitted: dict[str, Tensor], score: Callable[[Readout], float], whiten: bool = True
) -> Readout:
    """The readout with the best score on other people; the first of equals.

    Each token [N, D] is tried as it is and, if ``whiten``, also whitened.
    """
    choices = []
    for token, features in fitted.items():
        choices.append(Readout(token))
        if whiten:
            choices.append(Readout(token, fit_whitening(features)))
    return max(choices, key=score)


class LabeledTokens(NamedTuple):
    """Tokens of images whose identity and camera are known."""

    tokens: dict[str, Tensor]
    pids: Tensor
    camids: Tensor


def probe_reid(subject: Subject, folder: str | Path) -> dict[str, float]:
    """Re-identification in a folder like Market-1501, by cosine similarity.

    Files in ``query`` and ``bounding_box_test`` are named by identity (-1 is ignored,
    0000 a distractor) and camera: ``0002_c1s1_000451_03.jpg``. The readout is the best
    one for people of ``bounding_box_train``; without that folder, the image token.
    """
    # All names are checked first: embedding the images takes minutes.
    query, gallery = (read_folder(os.path.join(folder, x)) for x in (QUERY, GALLERY))
    people = {image.pid for image in gallery if image.pid > DISTRACTOR}
    name = score_name(folder, 'reid')
    log(
        f'{name}: {len(query)} queries; a gallery of {len(gallery)} images, of '
        f'{len(people)} people'
    )
    readout = Readout()
    if os.path.isdir(train := os.path.join(folder, TRAIN)):
        readout = _choose_for_people(subject, train)
    log(f'{name}: readout: {readout}')
    found = _retrieve(readout, _embed(subject, query), _embed(subject, gallery), folder)
    report_left_out(found)
    return {f'{name}/mAP': found.mean_average_precision, f'{name}/rank1': found.rank1}


def _choose_for_people(subject: Subject, folder: str) -> Readout:
    """The best readout for half of a folder's people; whitening is fitted to others."""
    images = [image for image in read_folder(folder) if image.pid > DISTRACTOR]
    pids = sorted({image.pid for image in images})
    if len(pids) < 2:
        raise ValueError(f'{folder}: has {len(pids)} identities, at least 2 are needed')
    fitted, selected = (
        _embed(subject, [image for image in images if image.pid in half][:MAX_TRAIN])
        for half in (set(pids[::2]), set(pids[1::2]))
    )

    def score(readout: Readout) -> float:
        return _retrieve(readout, selected, selected, folder).mean_average_precision

    try:
        return choose_readout(fitted.tokens, score)
    except ValueError as error:
        raise ValueError(
            f'{error}; the readout is chosen on these people: without this folder, it '
            'is the image token'
        ) from error


def _embed(subject: Subject, images: list[ReIDImage]) -> LabeledTokens:
    paths, pids, camids = zip(*images, strict=True)
    tokens = subject.embed(paths).tokens
    return LabeledTokens(tokens, torch.tensor(pids), torch.tensor(camids))


def _retrieve(
    readout: Readout, query: LabeledTokens, gallery: LabeledTokens, folder: str | Path
) -> Retrieval:
    found = (LabeledFeatures(readout(x.tokens), *x[1:]) for x in (query, gallery))
    try:
        return evaluate_retrieval(*found)
    except ValueError as error:
        raise ValueError(f'{folder}: {error}') from error


def probe_attributes(subject: Subject, file: str | Path) -> dict[str, float]:
    """Attributes by ridge regression, from the token that is best for training people.

    At most ``MAX_LABELED`` images of each split are used, evenly spaced. For the CSV
    file and errors, see :func:`read_attributes`.
    """
    file = Path(file)
    name = score_name(file.resolve().parent, 'attributes')
    train, test = (
        images.take(spread(len(images.paths), MAX_LABELED))
        for images in read_attributes(file).values()
    )
    log(
        f'{name}: {len(test.paths)} images for testing, {len(train.paths)} others for '
        f'fitting; {train.labels.shape[1]} attributes'
    )
    tokens = subject.embed(train.paths).tokens
    half = torch.from_numpy(np.unique(train.pids, return_inverse=True)[1] % 2 == 0)
    labels, test_labels = (torch.from_numpy(x.labels) for x in (train, test))

    def score(readout: Readout) -> float:
        features = readout(tokens)
        return attribute_accuracy(
            features[half], labels[half], features[~half], labels[~half]
        )

    try:
        readout = choose_readout(tokens, score, whiten=False)
    except ValueError:  # no attribute varies in both halves
        readout = Readout()
    try:
        log(f'{name}: readout: {readout}')
        tested = readout(subject.embed(test.paths).tokens)
        accuracy = attribute_accuracy(readout(tokens), labels, tested, test_labels)
    except ValueError as error:
        raise ValueError(f'{file}: {error}') from error
    return {f'{name}/mA': accuracy}


def probe_unlabeled(subject: Subject, folder: str | Path) -> dict[str, float]:
    """Measures that need no labels, of at most ``MAX_UNLABELED`` images of a folder.

    ``RankMe`` is the effective rank of image tokens, ``spread`` the root of the summed
    variances of unit tokens (0: all alike, 1: in all directions). Both reveal collapse;
    high values are no evidence of useful features. Images that cannot be read are left
    out, and logged.
    """
    names = thinned(find_images(str(folder)), MAX_UNLABELED)
    paths = [os.path.join(folder, name) for name in names]
    name = Path(folder).resolve().name
    log(f'{name}: {len(paths)} unlabeled images')
    embedded = subject.embed(_readable(paths))
    if not embedded.tokens:
        raise ValueError(f'{folder}: none of the {len(paths)} images can be read')
    tokens = embedded.image
    scores = dict(RankMe=rank_me(tokens), spread=token_spread(tokens).item())
    return {f'{name}/{measure}': score for measure, score in scores.items()}


def _readable(paths: Iterable[str]) -> Iterator[np.ndarray]:
    for path in paths:
        try:
            yield read_image(path)
        except ImageError as error:
            log(f'left out: {error}')


def rank_me(features: Tensor) -> float:
    """Effective rank of features [N, D]: RankMe (Garrido et al., arXiv 2210.02885).

    The exponential of the entropy of the normalized singular values. It compares only
    runs of one method: between methods, higher is not better.
    """
    singular = torch.linalg.svdvals(features.double())
    return torch.special.entr(singular / singular.sum()).sum().exp().item()
