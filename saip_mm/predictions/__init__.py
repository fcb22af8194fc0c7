"""Answers of models for images, as data and as pictures."""

import os
from collections.abc import Sequence

from ..data.configs import type_name
from ..evaluation.subject import Device
from ..training.config import load_config
from .fine_tuned import Predictor
from .prediction import Prediction
from .scenes import SceneSearch


def predict(
    config: str | os.PathLike,
    checkpoint: str | os.PathLike,
    images: Sequence[str],
    gallery: Sequence[str] = (),
    device: Device = 'cpu',
) -> list[dict | list]:
    """Answers of a model for image files, or for sentences.

    Args:
        config: Config of downstream training or, to search scenes, of pretraining with
            SAIP; this file is executed.
        checkpoint: Its checkpoint or work directory.
        images: Image files; for text-to-image retrieval, sentences such as 'a man in a
            red coat'.
        gallery: Image files to search for the person of each image or sentence:
            people, for models of re-identification and text-to-image retrieval; scenes,
            for SAIP.
        device: Device of the model.

    Returns:
        For each image:

        - attributes: their scores in [0, 1] by name, highest first;
        - re-identification and text-to-image retrieval: the images of the gallery, most
          similar first, each as ``image`` and ``similarity`` (cosine);
        - keypoints: a list of people, each with ``keypoints`` by name as x, y in pixels
          and a score; the whole image is taken for one person;
        - detection: a list of boxes with ``label``, ``score`` and ``bbox``, x1, y1, x2,
          y2 in pixels; for part attributes also ``attributes``, by name the scores
          above the threshold of the config's metric;
        - parsing: shares of the image by name of the label, largest first;
        - search: the scenes, likeliest first, see :class:`SceneSearch`.

    Raises:
        OSError: If a file does not exist or cannot be read.
        TypeError: If ``images`` or ``gallery`` is a single path or sentence.
        ValueError: If config and checkpoint do not belong together, the model is of
            another kind, or it needs a ``gallery`` that is not given, or uses none.
    """
    for given in (images, gallery):
        if isinstance(given, str | os.PathLike):
            raise TypeError(f'predict takes lists: put {str(given)!r} in a list')
    predictor = load_predictor(config, checkpoint, device)
    predictor.index(gallery)
    return [prediction.answer for prediction in predictor(images)]


def load_predictor(
    config: str | os.PathLike, checkpoint: str | os.PathLike, device: Device = 'cpu'
) -> Predictor | SceneSearch:
    """Load a model that answers; arguments are those of :func:`predict`."""
    cfg = load_config(str(config))
    searches = type_name(cfg.get('model', {})) == 'SAIP'
    return (SceneSearch if searches else Predictor)(cfg, checkpoint, device)
