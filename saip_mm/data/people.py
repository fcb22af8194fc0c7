"""Base class of data sets of person images."""

import hashlib
import pickle
import random
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset
from mmengine.registry import TRANSFORMS as ALL_TRANSFORMS
from mmpretrain.registry import DATASETS, TRANSFORMS

from .images import Reduction, encode_image, unreduced
from .person_boxes import read_photograph
from .quarantine import Quarantine
from .views import Size

Key = tuple[int, int, int]  # seed, epoch, index


class PeopleDataset(BaseDataset, ABC):
    """Data set of images of one person each, with another image as scene.

    A sample is a pure function of its key ``(seed, epoch, index)``, which seeds the
    generator of all its random choices. It is therefore the same in any worker, with
    any number of processes, and after resuming.

    An unusable image raises ImageError, unless ``quarantine`` is set: then it is listed
    and replaced by another image.

    Subclasses implement :meth:`load_image` and ``load_data_list``, whose small dicts
    MMEngine packs into one array shared by all workers. The constructor calls
    ``load_data_list``, so set the attributes that it needs first.

    Args:
        pipeline: Transforms (configs or callables) of the dict described in
            :meth:`sample`.
        scenes: Config of another ``PeopleDataset`` that provides the scene images.
            Defaults to other images of this data set.
        data_root, ann_file, data_prefix: As in MMEngine.
    """

    def __init__(
        self,
        pipeline: Sequence = (),
        scenes: dict | None = None,
        data_root: str = '',
        ann_file: str = '',
        data_prefix: dict | None = None,
    ) -> None:
        self.scenes = None if scenes is None else _build_scenes(scenes)
        self.quarantine: Quarantine | None = None
        pipeline = [
            TRANSFORMS.build(step) if isinstance(step, dict) else step
            for step in pipeline
        ]
        super().__init__(
            ann_file,
            data_root=data_root,
            data_prefix=data_prefix or {},
            pipeline=pipeline,
        )

    @abstractmethod
    def load_image(self, data_info: dict) -> np.ndarray:
        """Return the image of an entry of the data list: RGB, uint8 ``[H, W, 3]``.

        Entries of samples also have ``max_reduction``, see
        :func:`~saip_mm.data.images.read_image`; it can be ignored.
        """

    def load_posed(self, data_info: dict) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the image of an entry and its person's keypoints, None if unknown.

        Keypoints are float32 ``[17, 3]``: x, y in pixels, and v > 0 where known.
        """
        return self.load_image(data_info), None

    def load_file(self, data_info: dict) -> bytes:
        """Return the content of an image file that holds the image of an entry."""
        return encode_image(self.load_image(data_info))

    def source(self, data_info: dict) -> str:
        """Return the name of an entry's image, for messages."""
        return f'{type(self).__name__} image {data_info["sample_idx"]}'

    def __getitem__(self, key: Key | int) -> dict:
        """Return the sample with a key; an ``index`` stands for ``(0, 0, index)``."""
        seed, epoch, index = key if isinstance(key, tuple) else (0, 0, key)
        if not 0 <= index < len(self):
            raise IndexError(f'index {index} of a data set of {len(self)} images')
        return self.sample(index, (seed, epoch, index))

    def sample(self, index: int, key: Key) -> dict:
        """Apply the pipeline to an image, with the random numbers of a key.

        The pipeline starts from ``image`` and ``scene`` (RGB, uint8 ``[H, W, 3]``),
        ``keypoints`` (see :meth:`load_posed`), ``rng`` (the sample's generator) and
        ``source`` (the image's name). ``scene`` is omitted if a transform has the
        attribute ``needs_scene = False``.
        """
        results = self._load(index, key, self.max_reduction)
        results['rng'] = rng = np.random.default_rng(key)
        if all(getattr(step, 'needs_scene', True) for step in self.pipeline.transforms):
            scenes = self if self.scenes is None else self.scenes
            if scenes is self and len(self) > 1:  # another image
                other = int(rng.integers(len(self) - 1))
                other += other >= index
            else:
                other = int(rng.integers(len(scenes)))
            results['scene'] = scenes.load(other, key, self.max_reduction)
        return self.pipeline(results)

    def max_reduction(self, shape: Size) -> float:
        """Return how much the pipeline allows an image of a shape to be reduced."""
        steps = self.pipeline.transforms
        found = [step.max_reduction for step in steps if hasattr(step, 'max_reduction')]
        return max((reduction(shape) for reduction in found), default=1)

    def parts(self) -> list['PeopleDataset']:
        """Return the data sets that load the images: this one, or those it joins."""
        return [self]

    def digest(self) -> str:
        """A hash of the list of images, not of their contents or location.

        The same list has the same digest in all processes, and after resuming.
        """
        return hashlib.sha256(self.listed()).hexdigest()[:12]

    def listed(self) -> bytes | memoryview:
        """The list of images as bytes; their number, for a data set without a list."""
        entries = getattr(self, 'data_bytes', None)
        return str(len(self)).encode() if entries is None else entries.data

    def load(
        self, index: int, key: Key, max_reduction: Reduction = unreduced
    ) -> np.ndarray:
        """Return the image with an index, or its replacement in the sample of a key."""
        return self._load(index, key, max_reduction)['image']

    def _load(self, index: int, key: Key, max_reduction: Reduction) -> dict:
        """Return ``image``, ``keypoints`` and ``source``, as :meth:`sample` needs."""

        def load(index: int) -> dict:
            info = self.get_data_info(index) | dict(max_reduction=max_reduction)
            image, keypoints = self.load_posed(info)
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                raise TypeError(
                    f'{self.source(info)}: load_image should return RGB, uint8 '
                    f'[H, W, 3], not {image.dtype} {list(image.shape)}'
                )
            return dict(image=image, keypoints=keypoints, source=self.source(info))

        if self.quarantine is None:
            return load(index)
        return self.quarantine.load(index, load, key)

    def _serialize_data(self) -> tuple[np.ndarray, np.ndarray]:
        """Pack the data list in a third of MMEngine's time and memory.

        MMEngine creates a NumPy array per entry, which is slow for millions of them.
        """
        entries = [pickle.dumps(entry, protocol=4) for entry in self.data_list]
        self.data_list.clear()
        ends = np.cumsum([len(entry) for entry in entries])
        return np.frombuffer(b''.join(entries), dtype=np.uint8), ends


def _build_scenes(config: dict) -> PeopleDataset:
    if unused := {'pipeline', 'scenes'} & config.keys():
        raise ValueError(
            f'scenes: {", ".join(sorted(unused))} would have no effect, since only '
            'the images of that data set are used; remove it'
        )
    scenes = DATASETS.build(config)
    if not isinstance(scenes, PeopleDataset):
        raise TypeError(
            f'scenes: {type(scenes).__name__} is not a PeopleDataset; use for instance '
            "dict(type='PersonImages', data_root='FOLDER')"
        )
    return scenes


@TRANSFORMS.register_module()
class LoadPersonImage(BaseTransform):
    """Transform that replaces ``LoadImageFromFile`` in pipelines of MMPretrain.

    Their random transforms draw from the global generators of Python, NumPy and
    PyTorch. This one seeds them, so that a sample is a function of its key.
    """

    needs_scene = False

    def transform(self, results: dict) -> dict:
        """Return ``img``, BGR uint8 [h, w, 3], and what is known about it."""
        seed = int(results['rng'].integers(2**32))
        random.seed(seed)
        np.random.seed(seed)
        torch.default_generator.manual_seed(seed)  # torch.manual_seed takes 0.3 ms
        return dict(_loaded(results['image']), img_path=results['source'])


@ALL_TRANSFORMS.register_module()
class ReadImage(BaseTransform):
    """Transform that replaces ``LoadImageFromFile`` in pipelines of any library.

    It reads ``img_path`` with :func:`~saip_mm.data.images.read_image`, like pretraining
    and predictions: with gray behind transparent pixels, for example. An existing
    ``img``, as given to the libraries' inference functions, is kept. An image that does
    not have the annotated size, as in MMDetection's entries, raises ImageError.
    """

    def transform(self, results: dict) -> dict:
        """Add ``img``, BGR uint8 [h, w, 3], and its shape."""
        if 'img' in results:
            size = results['img'].shape[:2]
            return results | dict(img_shape=size, ori_shape=size)
        size = results.get('height'), results.get('width')
        image = read_photograph(results['img_path'], None if None in size else size)
        return results | _loaded(image)


def _loaded(image: np.ndarray) -> dict:
    size = image.shape[:2]
    bgr = np.ascontiguousarray(image[..., ::-1])
    return dict(img=bgr, img_shape=size, ori_shape=size)
