"""Base class of data sets of person images."""

import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from mmengine.dataset import BaseDataset
from mmpretrain.registry import DATASETS, TRANSFORMS

from .images import encode_image
from .quarantine import Quarantine

T = TypeVar('T')


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
        data_root: Folder that ``ann_file`` and ``data_prefix`` are relative to.
        ann_file: Annotation file, as in MMEngine.
        data_prefix: Folders of the data, as in MMEngine.
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
        super().__init__(
            data_root=data_root,
            ann_file=ann_file,
            data_prefix=data_prefix or {},
            pipeline=[
                TRANSFORMS.build(step) if isinstance(step, dict) else step
                for step in pipeline
            ],
        )

    @abstractmethod
    def load_image(self, data_info: dict) -> np.ndarray:
        """Return the image of an entry of the data list: RGB, uint8 ``[H, W, 3]``."""

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

    def __getitem__(self, key: tuple[int, int, int] | int) -> dict:
        """Return the sample with a key; an ``index`` stands for ``(0, 0, index)``."""
        seed, epoch, index = key if isinstance(key, tuple) else (0, 0, key)
        if not 0 <= index < len(self):
            raise IndexError(f'index {index} of a data set of {len(self)} images')
        return self.sample(index, (seed, epoch, index))

    def sample(self, index: int, key: tuple[int, int, int]) -> dict:
        """Apply the pipeline to an image, with the random numbers of a key.

        The pipeline starts from ``image`` and ``scene`` (RGB, uint8 ``[H, W, 3]``),
        ``keypoints`` (see :meth:`load_posed`), ``rng`` (the sample's generator) and
        ``source`` (the image's name). ``scene`` is omitted if a transform has the
        attribute ``needs_scene = False``.
        """
        rng = np.random.default_rng(key)
        image, keypoints = self._load(self.load_posed, index, key)
        results = dict(
            image=image,
            keypoints=keypoints,
            rng=rng,
            source=self.source(self.get_data_info(index)),
        )
        if all(getattr(step, 'needs_scene', True) for step in self.pipeline.transforms):
            results['scene'] = self._draw_scene(index, key, rng)
        return self.pipeline(results)

    def parts(self) -> list['PeopleDataset']:
        """Return the data sets that load the images: this one, or those it joins."""
        return [self]

    def load(self, index: int, key: tuple[int, int, int]) -> np.ndarray:
        """Return the image with an index, or its replacement in the sample of a key."""
        return self._load(self.load_image, index, key)

    def _load(
        self, load: Callable[[dict], T], index: int, key: tuple[int, int, int]
    ) -> T:
        if self.quarantine is None:
            return load(self.get_data_info(index))
        return self.quarantine.load(index, lambda i: load(self.get_data_info(i)), key)

    def _serialize_data(self) -> tuple[np.ndarray, np.ndarray]:
        """Pack the data list in a third of MMEngine's time and memory.

        MMEngine creates a NumPy array per entry, which is slow for millions of them.
        """
        entries = [pickle.dumps(entry, protocol=4) for entry in self.data_list]
        self.data_list.clear()
        ends = np.cumsum([len(entry) for entry in entries])
        return np.frombuffer(b''.join(entries), dtype=np.uint8), ends

    def _draw_scene(
        self, index: int, key: tuple[int, int, int], rng: np.random.Generator
    ) -> np.ndarray:
        """Return a random scene image, which is not the sample's own image."""
        scenes = self if self.scenes is None else self.scenes
        if scenes is self and len(self) > 1:
            other = int(rng.integers(len(self) - 1))
            other += other >= index
        else:
            other = int(rng.integers(len(scenes)))
        return scenes.load(other, key)


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
