"""What every source of person images has in common."""

import pickle
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from mmengine.dataset import BaseDataset
from mmpretrain.registry import DATASETS, TRANSFORMS

from .images import encode_image
from .quarantine import Quarantine


class PeopleDataset(BaseDataset, ABC):
    """Images of one person each, and of another image as its scene.

    A sample is a pure function of its key ``(seed, epoch, index)``: all its random
    choices come from one generator that starts from the key. It is therefore the same
    in any worker, on any number of processes and after a resume.

    An image that cannot be used is an error, unless ``quarantine`` is set: then another
    image replaces it, and it is listed.

    Subclasses implement :meth:`load_data_list` (a list of small dicts, which MMEngine
    packs into one flat array that data-loader workers share) and :meth:`load_image`.
    The constructor calls ``load_data_list``, so set what it needs before.

    Args:
        pipeline: Transforms (configs or callables) for the dict of :meth:`__getitem__`.
        scenes: Config of another ``PeopleDataset`` that gives the scene images.
            Defaults to other images of this one.
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
        """Image of an entry of the data list: RGB, uint8 ``[H, W, 3]``."""

    def load_file(self, data_info: dict) -> bytes:
        """Content of an image file with what :meth:`load_image` gives for an entry."""
        return encode_image(self.load_image(data_info))

    def source(self, data_info: dict) -> str:
        """Name of an entry's image, for messages."""
        return f'{type(self).__name__} image {data_info["sample_idx"]}'

    def __getitem__(self, key: tuple[int, int, int] | int) -> dict:
        """What the pipeline makes of one sample.

        Its key is ``(seed, epoch, index)``, or only an index for ``(0, 0, index)``.
        """
        seed, epoch, index = key if isinstance(key, tuple) else (0, 0, key)
        if not 0 <= index < len(self):
            raise IndexError(f'index {index} of a data set of {len(self)} images')
        return self.sample(index, (seed, epoch, index))

    def sample(self, index: int, key: tuple[int, int, int]) -> dict:
        """What the pipeline makes of an image in the sample of a key.

        The pipeline starts from ``image`` and ``scene`` (RGB, uint8 ``[H, W, 3]``),
        ``rng`` (the sample's generator) and ``source`` (the image's name).
        """
        rng = np.random.default_rng(key)
        results = dict(
            image=self.load(index, key),
            scene=self._draw_scene(index, key, rng),
            rng=rng,
            source=self.source(self.get_data_info(index)),
        )
        return self.pipeline(results)

    def parts(self) -> list['PeopleDataset']:
        """The data sets that load the images: this one, or those that it joins."""
        return [self]

    def load(self, index: int, key: tuple[int, int, int]) -> np.ndarray:
        """Image of an entry, or of the one that replaces it in the sample of a key."""
        if self.quarantine is None:
            return self.load_image(self.get_data_info(index))
        return self.quarantine.load(
            index, lambda i: self.load_image(self.get_data_info(i)), key
        )

    def _serialize_data(self) -> tuple[np.ndarray, np.ndarray]:
        """Pack the data list in a third of MMEngine's time and memory.

        MMEngine makes a numpy array per entry, which counts for millions of them.
        """
        entries = [pickle.dumps(entry, protocol=4) for entry in self.data_list]
        self.data_list.clear()
        ends = np.cumsum([len(entry) for entry in entries])
        return np.frombuffer(b''.join(entries), dtype=np.uint8), ends

    def _draw_scene(
        self, index: int, key: tuple[int, int, int], rng: np.random.Generator
    ) -> np.ndarray:
        """A random image of the scenes' source, another than the sample's own."""
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
            f'scenes: {type(scenes).__name__} is not a PeopleDataset; give for '
            "instance dict(type='PersonImages', data_root='FOLDER')"
        )
    return scenes
