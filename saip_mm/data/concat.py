"""Concatenation of data sets of people, under MMEngine's name."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import mmengine.dataset
import numpy as np
from mmpretrain.registry import DATASETS

from .images import Reduction, unreduced
from .people import Key, PeopleDataset


class ConcatPeople(PeopleDataset):
    """Concatenation of data sets of people.

    Each image is processed by the pipeline of its own data set and gets a scene from
    it. A data set that is given n times is seen n times per epoch, in different views.
    """

    def __init__(self, datasets: Sequence[PeopleDataset]) -> None:
        self.datasets = []
        for each in datasets:
            self.datasets += each.datasets if isinstance(each, ConcatPeople) else [each]
        self.ends = list(accumulate(map(len, self.datasets)))
        super().__init__()
        self.pipeline = self.datasets[0].pipeline
        scenes = [part.scenes for part in self.parts() if part.scenes is not None]
        self.scenes = ConcatPeople(scenes) if scenes else None

    def parts(self) -> list[PeopleDataset]:
        return list(dict.fromkeys(self.datasets))

    def listed(self) -> bytes:
        return ' '.join(each.digest() for each in self.datasets).encode()

    def full_init(self) -> None:
        self._fully_initialized = True

    def __len__(self) -> int:
        return self.ends[-1]

    def get_data_info(self, idx: int) -> dict:
        """Return ``dataset``, the data set of an image, and ``info``, its entry."""
        dataset, own = self._locate(idx)
        return dict(sample_idx=idx, dataset=dataset, info=dataset.get_data_info(own))

    def _locate(self, index: int) -> tuple[PeopleDataset, int]:
        """Return the data set of an image, and the image's index in it."""
        number = bisect_right(self.ends, index)
        dataset = self.datasets[number]
        return dataset, index - self.ends[number] + len(dataset)

    def sample(self, index: int, key: Key) -> dict:
        dataset, own = self._locate(index)
        return dataset.sample(own, key)

    def load(
        self, index: int, key: Key, max_reduction: Reduction = unreduced
    ) -> np.ndarray:
        dataset, own = self._locate(index)
        return dataset.load(own, key, max_reduction)

    def load_image(self, data_info: dict) -> np.ndarray:
        return data_info['dataset'].load_image(data_info['info'])

    def load_file(self, data_info: dict) -> bytes:
        return data_info['dataset'].load_file(data_info['info'])

    def source(self, data_info: dict) -> str:
        return data_info['dataset'].source(data_info['info'])


@DATASETS.register_module(name='ConcatDataset')
def concat_datasets(
    datasets: Sequence[dict | PeopleDataset], pipeline: Sequence = (), **others: object
) -> ConcatPeople | mmengine.dataset.ConcatDataset:
    """MMEngine's ``ConcatDataset``, which also joins data sets of people.

    Args:
        datasets: Data sets, or their configs; a data set of people that is listed n
            times is seen n times per epoch.
        pipeline: Pipeline of data sets of people whose config has none.
        others: Passed to MMEngine; not allowed for people.
    """
    if not any(map(holds_people, datasets)):
        pipeline = dict(pipeline=pipeline) if pipeline else {}  # MMEngine rejects it
        return mmengine.dataset.ConcatDataset(datasets, **pipeline, **others)
    if wrong := [*(each for each in datasets if not holds_people(each)), *others]:
        raise TypeError(
            f'ConcatDataset: {wrong[0]} cannot be combined with data sets of people'
        )
    built = []
    for number, each in enumerate(datasets):
        if (first := datasets.index(each)) < number:
            each = built[first]
        elif isinstance(each, dict):
            if pipeline and not each.get('pipeline'):
                each = dict(each, pipeline=pipeline)
            each = DATASETS.build(each)
        built.append(each)
    return ConcatPeople(built)


def holds_people(dataset: object) -> bool:
    """Return whether a data set, or the one that a config describes, is of people."""
    if not isinstance(dataset, dict):
        return isinstance(dataset, PeopleDataset)
    kind = dataset.get('type')
    kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    if kind is concat_datasets:
        return any(map(holds_people, dataset.get('datasets', ())))
    return isinstance(kind, type) and issubclass(kind, PeopleDataset)
