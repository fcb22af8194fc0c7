"""Search for people in scenes with a pretrained SAIP model."""

import os
from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmpretrain.registry import TRANSFORMS
from rich.progress import track
from torch import Tensor

from ..checkpoints.files import resolve_checkpoint
from ..data.configs import pipeline_of, type_name
from ..data.images import ImageError, normalize, resize, to_tensor
from ..evaluation.subject import Device, load_subject
from ..report.answers import draw_scenes
from .prediction import Prediction, readable_batches


class SceneSearch:
    """A pretrained SAIP model that finds the person of a photograph in scenes.

    Queries are resized to the size of global views in training; scenes to about as many
    pixels as scenes in training, in their own aspect ratio. The model was trained on
    people pasted into scenes, and expects them to be about as large as ``DrawViews``
    pastes them: in the recipe, somewhat more than half as high as the scene.

    The answer is a list of scenes, likeliest first: ``image``; ``score``, the highest
    probability of a patch; and ``bbox``, x1, y1, x2, y2 in pixels around the patches
    above 0.5 that are connected to that one, None if there are none. Arguments and
    errors are those of :func:`~saip_mm.predictions.predict`, but the config is loaded.
    """

    task = 'search'

    def __init__(
        self, config: Config, checkpoint: str | os.PathLike, device: Device = 'cpu'
    ) -> None:
        if not config.model.get('search'):
            raise ValueError(
                f'{config.filename}: its model has no search head; use a config with '
                'model.search, such as configs/pretrain/saip_small.py'
            )
        file = resolve_checkpoint(checkpoint)
        subject = load_subject(str(file), config, device)
        self.model = subject.model
        if self.model is None:
            raise ValueError(
                f'{file}: has no search head; give a training checkpoint or work '
                'directory of SAIP with all objectives'
            )
        steps = pipeline_of(subject.dataset)
        steps = [x for x in steps if type_name(x) == 'DrawViews']
        self.views = TRANSFORMS.build(steps[0])
        self.gallery: list[tuple[str, tuple[int, int], Tensor]] = []

    @torch.no_grad()
    def index(
        self,
        images: Sequence[str],
        left_out: list[ImageError] | None = None,
        nearest: int | None = None,
    ) -> None:
        """Encode the scenes to search; see :meth:`Predictor.index`, also for errors."""
        if not images:
            raise ValueError('a search for people needs a gallery of scenes')
        self.gallery = []
        images = track(images, 'Encoding scenes', transient=True)
        for [(path, scene)] in readable_batches(images, 1, left_out):
            shape = scene.shape[:2]
            encoded = self._encode([scene], self._scene_size(shape))
            self.gallery.append((path, shape, encoded.middle_map))
        if not self.gallery:
            raise left_out[0]
        self.nearest = nearest

    @torch.no_grad()
    def __call__(
        self,
        images: Iterable[str],
        batch_size: int = 16,
        left_out: list[ImageError] | None = None,
    ) -> Iterator[Prediction]:
        """Yield a prediction for each image file; ``left_out`` as in :meth:`index`."""
        for batch in readable_batches(images, batch_size, left_out):
            pixels = [image for _, image in batch]
            queries = self._encode(pixels, self.views.global_size).middle_tokens
            heats = [
                self.model.search(queries.split(1), scene)[0].sigmoid().cpu()
                for *_, scene in self.gallery
            ]
            for i, (path, image) in enumerate(batch):
                heat, answer = {}, []
                for (scene, shape, _), found in zip(self.gallery, heats, strict=True):
                    heat[scene] = found[i]
                    best, box = locate(found[i].numpy(), shape)
                    answer.append(dict(image=scene, score=best, bbox=box))
                answer.sort(key=lambda each: each['score'], reverse=True)
                yield Prediction(path, answer[: self.nearest], heat, image)

    def draw(self, prediction: Prediction, out: str | os.PathLike) -> None:
        """Write a picture of an answer: the query, and the likeliest scenes."""
        draw_scenes(prediction.image, prediction.answer, prediction.sample).save(out)

    def _encode(self, images: list[np.ndarray], size: Sequence[int]) -> object:
        own = self.model.data_preprocessor
        pixels = torch.stack([resize(to_tensor(image), size) for image in images])
        inputs = normalize(pixels.to(own.mean.device), own.mean, own.std)
        return self.model.teacher['encoder'](inputs, until='middle')

    def _scene_size(self, shape: tuple[int, int]) -> list[int]:
        area, patch = np.prod(self.views.scene_size), self.views.patch_size
        scale = (area / np.prod(shape)) ** 0.5
        return [patch * max(1, round(side * scale / patch)) for side in shape]


def locate(
    values: np.ndarray, shape: tuple[int, int]
) -> tuple[float, list[float] | None]:
    """Highest probability of a patch, and the box of likely patches connected to it.

    Args:
        values: Probabilities [h, w] of the patches of a scene.
        shape: (H, W) of the scene in pixels.

    Returns:
        The probability, and x1, y1, x2, y2 in pixels; None if it is at most 0.5.
    """
    best = np.unravel_index(values.argmax(), values.shape)
    score = round(float(values[best]), 4)
    if values[best] <= 0.5:
        return score, None
    likely = (values > 0.5).astype(np.uint8)
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(likely)
    left, top, width, height = boxes[labels[best], :4]
    corners = np.array([[left, top], [left + width, top + height]])
    corners = corners * shape[::-1] / values.shape[::-1]
    return score, [round(float(x), 1) for x in corners.ravel()]
