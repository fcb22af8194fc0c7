"""Answers of fine-tuned models for images."""

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import MODELS, VISUALIZERS, DefaultScope
from mmengine.visualization import Visualizer
from mmpretrain.structures import DataSample
from PIL import Image
from rich.progress import track
from torch import Tensor
from torch.nn.functional import normalize

from ..checkpoints.files import read_checkpoint, resolve_checkpoint, state_dict_of
from ..data.configs import pipeline_of, type_name
from ..data.images import ImageError
from ..evaluation.subject import Device
from ..models.weights import load_weights
from ..report.answers import (
    describe_parts,
    draw_attributes,
    draw_neighbors,
    draw_parsing,
    enlarge_sample,
    note_if_empty,
    write_beside,
    write_sentence,
)
from .prediction import Prediction, leaving_out, readable_batches, task_of, whole_image

# Steps of pipelines that read the image, or need labels.
OMITTED = ('ReadImage', 'LoadImageFromFile', 'LoadImage')
OMITTED += ('LoadAnnotations', 'LoadPanopticAnnotations')
OMITTED += ('CheckLabels', 'TokenizeCaptions')
SEARCHES = ('reid', 'text_retrieval')  # tasks that need a gallery
NUMBERED = 1000  # classes without names, at most


class Predictor:
    """A fine-tuned model that answers for image files.

    Arguments and answers are those of :func:`~saip_mm.predictions.predict`, but the
    config is loaded already.

    Attributes:
        task: ``'attributes'``, ``'reid'``, ``'text_retrieval'``, ``'pose'``,
            ``'detection'``, ``'parsing'``.
        meta: Names of classes or keypoints, as in the training data set.
        classes: Names of classes; numbers, if the checkpoint has none.
    """

    def __init__(
        self, config: Config, checkpoint: str | os.PathLike, device: Device = 'cpu'
    ) -> None:
        self.cfg = config
        self.scope = self.cfg.get('default_scope', 'mmpretrain')
        self.task = task_of(self.cfg)
        path = resolve_checkpoint(checkpoint)
        content = read_checkpoint(path)
        self.meta = content.get('meta', {}).get('dataset_meta') or {}
        self.classes = self.meta.get('classes') or [*map(str, range(NUMBERED))]
        if self.task == 'pose' and not self.meta:
            from mmpose.apis.inference import dataset_meta_from_config

            self.meta = dataset_meta_from_config(self.cfg, 'test') or {}
        if 'data_preprocessor' in self.cfg:  # as in MMEngine's runner
            self.cfg.model.setdefault('data_preprocessor', self.cfg.data_preprocessor)
        steps = [
            step
            for step in pipeline_of(self.cfg.test_dataloader.dataset)
            if type_name(step) not in OMITTED
        ]
        with DefaultScope.overwrite_default_scope(self.scope):
            self.model = MODELS.build(self.cfg.model)
            self.pipeline = Compose(steps)
        try:
            load_weights(self.model, state_dict_of(content))
        except ValueError as error:
            raise ValueError(
                f'{path}: {error}. If {config.filename} is not the config of this '
                'training, use the one in its work directory'
            ) from error
        self.model.to(device).eval()
        self.gallery: tuple[list[str], Tensor] = ([], torch.empty(0, 0))
        self.nearest: int | None = None

    def index(
        self,
        images: Sequence[str],
        left_out: list[ImageError] | None = None,
        nearest: int | None = None,
    ) -> None:
        """Embed the gallery to search.

        Args:
            images: Image files.
            left_out: Errors of images that cannot be read are appended to it, and the
                images left out; None raises them.
            nearest: Number of images in an answer; None for all.

        Raises:
            OSError: If an image, or with ``left_out`` every image, cannot be read.
            ValueError: If there is none, or the model needs none.
        """
        if bool(images) != (self.task in SEARCHES):
            needed = 'does not use' if images else 'needs'
            raise ValueError(f'a model of {self.task} {needed} a gallery')
        if images:
            samples = self._samples(images, 32, left_out)
            bar = track(samples, 'Embedding the gallery', len(images), transient=True)
            # Without the pixels: those of a large gallery would fill the memory.
            found = [(path, sample.feature) for path, _, sample in bar]
            if not found:
                raise left_out[0]
            paths, features = zip(*found, strict=True)
            self.gallery = list(paths), normalize(torch.stack(features).float(), dim=1)
            self.nearest = nearest

    def __call__(
        self,
        images: Iterable[str],
        batch_size: int = 16,
        left_out: list[ImageError] | None = None,
    ) -> Iterator[Prediction]:
        """Yield a prediction for each image file or sentence.

        Batches are at most as large as those of the config's tests; for MMDetection,
        they have one image. ``left_out`` is as in :meth:`index`.
        """
        if self.task == 'text_retrieval':
            found = self._sentences(images)
        else:
            found = self._samples(images, batch_size, left_out)
        for path, image, sample in found:
            answer = getattr(self, f'_{self.task}')(sample)
            yield Prediction(path, answer, sample, image)

    @torch.no_grad()
    def _sentences(
        self, sentences: Iterable[str]
    ) -> Iterator[tuple[str, None, DataSample]]:
        """Yield sentences with their features."""
        for sentence in sentences:
            if not sentence.strip():
                raise ValueError("a query is empty; give one such as 'a red coat'")
            (feature,) = self.model.embed_sentences([sentence])
            yield sentence, None, DataSample(feature=feature)

    @torch.no_grad()
    def _samples(
        self, images: Iterable[str], batch_size: int, left_out: list[ImageError] | None
    ) -> Iterator[tuple[str, np.ndarray, object]]:
        """Yield image files, RGB images, and data samples."""
        # MMDetection pads images to the largest, which changes the answers of ViTs;
        # MMSegmentation cannot batch images of several sizes.
        largest = 1 if self.scope == 'mmdet' else self.cfg.test_dataloader.batch_size
        batch_size = min(batch_size, largest)
        with DefaultScope.overwrite_default_scope(self.scope):
            for batch in readable_batches(images, batch_size, left_out):
                found, prepared = [], []
                for path, image in batch:
                    with leaving_out(left_out):
                        prepared.append(self.prepare(image, path))
                        found.append((path, image))
                if prepared:
                    samples = self.model.test_step(pseudo_collate(prepared))
                    for each, sample in zip(found, samples, strict=True):
                        yield *each, sample

    def prepare(self, image: np.ndarray, path: str) -> dict:
        """Inputs of an RGB image, uint8 [h, w, 3].

        Raises:
            ImageError: If it is too narrow, or too large, for OpenCV to resize.
        """
        meta = self.meta if self.task == 'pose' else {}
        try:
            return self.pipeline(whole_image(image, path, meta))
        except cv2.error as error:
            h, w = image.shape[:2]
            raise ImageError(
                f'{path}: {h}x{w} pixels (h x w) are too narrow or too large to resize'
            ) from error

    def _attributes(self, sample: object) -> dict:
        scores = sample.pred_score.tolist()
        names = self.meta.get('classes') or self.classes[: len(scores)]
        return _sorted(dict(zip(names, scores, strict=True)))

    def _reid(self, sample: object) -> list:
        paths, features = self.gallery
        similarities = features @ normalize(sample.feature.float(), dim=0)
        order = similarities.argsort(descending=True, stable=True)[: self.nearest]
        return [
            dict(image=paths[i], similarity=round(similarities[i].item(), 4))
            for i in order.tolist()
        ]

    _text_retrieval = _reid

    def _pose(self, sample: object) -> list:
        people, names = sample.pred_instances, self.meta['keypoint_id2name']
        answer = []
        for rows in zip(people.keypoints, people.keypoint_scores, strict=True):
            points = enumerate(np.c_[rows])
            answer.append({names[i]: [*map(_rounded, each)] for i, each in points})
        return [dict(keypoints=each) for each in answer]

    def _detection(self, sample: object) -> list:
        found = sample.pred_instances
        rows = zip(found.labels, found.scores, found.bboxes, strict=True)
        answer = [
            dict(label=self.classes[i], score=_rounded(x), bbox=[*map(_rounded, box)])
            for i, x, box in rows
        ]
        if 'attributes' in found:
            names, least = self.meta['attributes'], self.cfg.test_evaluator.threshold
            for part, scores in zip(answer, found.attributes.tolist(), strict=True):
                named = zip(names, scores, strict=True)
                part['attributes'] = _sorted({n: x for n, x in named if x > least})
        return answer

    def _parsing(self, sample: object) -> dict:
        labels = sample.pred_sem_seg.data.long()  # floats for one output channel
        shares = labels.flatten().bincount().div(labels.numel()).tolist()
        found = {self.classes[i]: share for i, share in enumerate(shares) if share}
        return _sorted(found)

    def draw(self, prediction: Prediction, out: str | os.PathLike) -> None:
        """Write a picture of an answer."""
        image, answer, sample = prediction.image, prediction.answer, prediction.sample
        if self.task == 'text_retrieval':
            picture = draw_neighbors(write_sentence(prediction.path), answer)
        elif self.task == 'attributes':
            picture = draw_attributes(image, answer)
        elif self.task == 'reid':
            picture = draw_neighbors(Image.fromarray(image), answer)
        elif self.task == 'parsing':
            labels = sample.pred_sem_seg.data[0].long().cpu().numpy()
            picture = draw_parsing(image, labels, self.classes, answer)
        else:
            image, sample = enlarge_sample(image, sample)
            found = sample.pred_instances
            if 'attributes' in found:  # numbers refer to the text
                found.label_names = [str(i) for i in range(1, len(answer) + 1)]
            if self.task == 'pose':  # in proportion; on small images as by default
                thick = max(1, max(image.shape[:2]) // 400)
                self._visualizer.radius, self._visualizer.line_width = 3 * thick, thick
            self._visualizer.add_datasample('answer', image, sample, draw_gt=False)
            picture = Image.fromarray(self._visualizer.get_image())
            if 'attributes' in found:
                picture = write_beside(picture, describe_parts(answer))
            elif note := note_if_empty(answer):
                picture = write_beside(picture, [note])
        picture.save(out)

    @cached_property
    def _visualizer(self) -> Visualizer:
        """The library's own."""
        kind = self.cfg.visualizer['type']
        with DefaultScope.overwrite_default_scope(self.scope):
            visualizer = VISUALIZERS.build(dict(type=kind, name=str(id(self))))
        if self.task == 'pose':
            visualizer.set_dataset_meta(self.meta)
        else:
            visualizer.dataset_meta = self.meta
        return visualizer


def _sorted(scores: dict[str, float]) -> dict[str, float]:
    order = sorted(scores, key=scores.get, reverse=True)
    return {name: round(scores[name], 4) for name in order}


def _rounded(value: float) -> float:
    return round(float(value), 4)
