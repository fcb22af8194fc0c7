"""Images of a model, and its answers."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

import numpy as np

from ..data.images import ImageError, read_image


class Prediction(NamedTuple):
    """The answer for an image, or for a sentence, which takes the place of the path."""

    path: str
    answer: dict | list
    """Plain data, see :func:`~saip_mm.predictions.predict`."""
    sample: object
    """The library's data sample; heat maps of a search, by scene."""
    image: np.ndarray | None = None
    """RGB, uint8 [h, w, 3]; None for a sentence."""


def read_batches(
    paths: Iterable[str], batch_size: int, left_out: list[ImageError] | None
) -> Iterator[tuple[list[str], list[np.ndarray]]]:
    """Yield the paths and RGB images of each batch.

    Images that cannot be read are appended to ``left_out``; None raises their error.
    """
    images = _readable(paths, left_out)
    while batch := list(islice(images, batch_size)):
        names, pixels = zip(*batch, strict=True)
        yield list(names), list(pixels)


def _readable(
    paths: Iterable[str], left_out: list[ImageError] | None
) -> Iterator[tuple[str, np.ndarray]]:
    for path in paths:
        with leaving_out(left_out):
            yield path, read_image(path)


@contextmanager
def leaving_out(left_out: list[ImageError] | None) -> Iterator[None]:
    """Append an error of an image to ``left_out``; None raises it."""
    try:
        yield
    except ImageError as error:
        if left_out is None:
            raise
        left_out.append(error)


def whole_image(image: np.ndarray, path: str, meta: dict) -> dict:
    """What the pipelines of all libraries take of an image of one person.

    The image is RGB, uint8 [h, w, 3]. MMPose's pipelines need the data set's ``meta``.
    """
    height, width = image.shape[:2]
    return dict(
        meta,
        img=np.ascontiguousarray(image[..., ::-1]),  # as read by OpenCV
        img_path=path,
        img_id=0,
        img_shape=(height, width),
        ori_shape=(height, width),
        bbox=np.array([[0, 0, width, height]], np.float32),
        bbox_score=np.ones(1, np.float32),
        seg_fields=[],
        reduce_zero_label=False,
    )
