"""Images for a model, and its answers."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from mmengine.config import Config

from ..data.configs import type_name
from ..data.images import ImageError, read_image

TASKS = dict(mmdet='detection', mmseg='parsing', mmpose='pose')


class Prediction(NamedTuple):
    """The answer for an image, or for a sentence, which takes the place of the path."""

    path: str
    answer: dict | list  # plain data, see `saip_mm.predictions.predict`
    sample: object  # the library's data sample; heat maps of a search, by scene
    image: np.ndarray | None = None  # RGB, uint8 [h, w, 3]; None for a sentence


def readable_batches(
    paths: Iterable[str], batch_size: int, left_out: list[ImageError] | None
) -> Iterator[list[tuple[str, np.ndarray]]]:
    """Yield batches of paths with their RGB images, uint8 [h, w, 3].

    Errors of images that cannot be read are appended to ``left_out``; None raises them.
    """
    batch = []
    for path in paths:
        with leaving_out(left_out):
            batch.append((path, read_image(path)))
        if len(batch) == batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


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
    """What the pipelines of all libraries need for an image of one person.

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


def task_of(cfg: Config) -> str:
    """Task of a fine-tuned model, see :class:`~saip_mm.predictions.Predictor`.

    Raises:
        ValueError: If it gives no answer.
    """
    if task := TASKS.get(cfg.get('default_scope')):
        return task
    if type_name(cfg.model) == 'TextRetriever':
        return 'text_retrieval'
    heads = dict(MultiLabelLinearClsHead='attributes', ReIDHead='reid')
    head = type_name(cfg.model.get('head') or {})
    if head not in heads:
        raise ValueError(
            f'{cfg.filename}: a model with the head {head} gives no answer that can be '
            f'shown; use a config with {" or ".join(heads)}, or of MMDetection, '
            'MMSegmentation or MMPose'
        )
    return heads[head]
