"""Several sources of person images as one, under the names that MMEngine uses."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import mmengine.dataset
import numpy as np
from mmpretrain.registry import DATASETS

from .people import PeopleDataset


class ConcatPeople(PeopleDataset):
    """Data sets of people, one after the other.

    Every image goes through the pipeline of its own data set, and gets a scene from it.
    A data set that is given several times is seen as often in an epoch, always in other
    views.
    """

    def __init__(self, datasets: Sequence[PeopleDataset]) -> None:
        self.datasets = [
            part
            for each in datasets
            for part in (each.datasets if isinstance(each, ConcatPeople) else [each])
        ]
        super().__init__()
        self.pipeline = self.datasets[0].pipeline
        scenes = [part.scenes for part in self.parts() if part.scenes is not None]
        self.scenes = ConcatPeople(scenes) if scenes else None

    def parts(self) -> list[PeopleDataset]:
        return list(dict.fromkeys(self.datasets))

    def load_data_list(self) -> list[dict]:
        """Nothing: the data sets know where their images are."""
        return []

    def full_init(self) -> None:
        self.ends = list(accumulate(map(len, self.datasets)))
        self._fully_initialized = True

    def __len__(self) -> int:
        return self.ends[-1]

    def _find(self, index: int) -> tuple[PeopleDataset, int]:
        """The data set of an image, and its index there."""
        number = bisect_right(self.ends, index)
        return self.datasets[number], index - ([0, *self.ends][number])

    def get_data_info(self, idx: int) -> dict:
        part, index = self._find(idx)
        return dict(sample_idx=idx, part=part.get_data_info(index))

    def sample(self, index: int, key: tuple[int, int, int]) -> dict:
        part, inner = self._find(index)
        return part.sample(inner, key)

    def load(self, index: int, key: tuple[int, int, int]) -> np.ndarray:
        part, inner = self._find(index)
        return part.load(inner, key)

    def load_image(self, data_info: dict) -> np.ndarray:
        return self._find(data_info['sample_idx'])[0].load_image(data_info['part'])

    def load_file(self, data_info: dict) -> bytes:
        return self._find(data_info['sample_idx'])[0].load_file(data_info['part'])

    def source(self, data_info: dict) -> str:
        return self._find(data_info['sample_idx'])[0].source(data_info['part'])


@DATASETS.register_module(name='ConcatDataset')
def concat_datasets(
    datasets: Sequence[dict | PeopleDataset], pipeline: Sequence = (), **others: object
) -> ConcatPeople | mmengine.dataset.ConcatDataset:
    """MMEngine's ``ConcatDataset``, which also joins data sets of people.

    Args:
        datasets: Configs of data sets, or the data sets.
        pipeline: Of those data sets of people that have none in their config.
        others: See MMEngine; refused for people.
    """
    if not any(map(holds_people, datasets)):
        pipeline = dict(pipeline=pipeline) if pipeline else {}  # which is refused
        return mmengine.dataset.ConcatDataset(datasets, **pipeline, **others)
    wrong = [each for each in datasets if not holds_people(each)]
    if wrong or others:
        raise TypeError(
            f'ConcatDataset: {wrong[0] if wrong else ", ".join(others)} cannot be '
            'combined with data sets of people'
        )
    return ConcatPeople([_build(each, pipeline) for each in datasets])


@DATASETS.register_module(name='RepeatDataset')
def repeat_dataset(
    dataset: dict | PeopleDataset,
    times: int,
    pipeline: Sequence = (),
    **others: object,
) -> ConcatPeople | mmengine.dataset.RepeatDataset:
    """MMEngine's ``RepeatDataset``, which also repeats a data set of people.

    Arguments are as for :func:`concat_datasets`.
    """
    if not holds_people(dataset):
        pipeline = dict(pipeline=pipeline) if pipeline else {}
        return mmengine.dataset.RepeatDataset(dataset, times, **pipeline, **others)
    if others:
        raise TypeError(f'RepeatDataset: people cannot have {", ".join(others)}')
    if times < 1:
        raise ValueError(f'RepeatDataset: times={times} should be at least 1')
    return ConcatPeople([_build(dataset, pipeline)] * times)


def holds_people(dataset: object) -> bool:
    """Whether a data set, or what a config would build, is one of people."""
    if not isinstance(dataset, dict):
        return isinstance(dataset, PeopleDataset)
    kind = dataset.get('type')
    kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    if kind is concat_datasets:
        return any(map(holds_people, dataset.get('datasets', ())))
    if kind is repeat_dataset:
        return holds_people(dataset.get('dataset'))
    return isinstance(kind, type) and issubclass(kind, PeopleDataset)


def _build(dataset: dict | PeopleDataset, pipeline: Sequence) -> PeopleDataset:
    if not isinstance(dataset, dict):
        return dataset
    return DATASETS.build(dict(dataset, pipeline=dataset.get('pipeline') or pipeline))
