"""The people that a report looks at: drawn ones that are held out, or photographs."""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmpretrain.registry import DATASETS, TRANSFORMS
from torch import Tensor

from ..data import PeopleDataset
from ..data.apply_views import resize
from .work_dir import Unavailable

HELD_OUT = 1_000_000  # added to the training's seeds: other people, other places
IDENTITIES, IMAGES_EACH = 24, 8  # of drawn people
GALLERY = 240  # at most so many photographs


@dataclass(frozen=True)
class Sample:
    """One training sample of the pipeline.

    Attributes:
        results: What the pipeline made, up to ``views``.
        inputs: What ``ApplyViews`` makes of it.
    """

    results: dict
    inputs: dict[str, Tensor]


@dataclass(frozen=True)
class Gallery:
    """Whole images to be compared.

    Attributes:
        images: uint8 [N, 3, h, w].
        identities: int64 [N]; None where they are not known.
        cameras: int64 [N]; None where they are not known.
    """

    images: Tensor
    identities: np.ndarray | None
    cameras: np.ndarray | None


class People:
    """Images of people and the views that the training makes of them.

    Args:
        cfg: Config of the training. Of ``SyntheticPeople`` and ``SyntheticScenes``
            others are drawn; any other data set is the training's own.
        folder: Images of people to take instead; scenes stay those of the training,
            where it has any of their own.

    Raises:
        Unavailable: If the config has no pipeline of views.
        OSError: If there are no images.
    """

    def __init__(self, cfg: Config, folder: str | None = None) -> None:
        dataset = copy.deepcopy(cfg.train_dataloader.dataset)
        if not dataset.get('pipeline'):
            raise Unavailable('The config has no pipeline that makes views of images.')
        self.apply = TRANSFORMS.build(dataset.pipeline.pop())
        self.note = _choose(dataset, folder)
        self.dataset: PeopleDataset = DATASETS.build(dataset)
        self.size = tuple(self.dataset.pipeline.transforms[-1].global_size)

    def samples(self, count: int) -> list[Sample]:
        """Samples of ``count`` different people, or as many as there are.

        Where identities are not known, different images stand for them.
        """
        samples = []
        for index in self._spread(count):
            results = self.dataset[index]
            samples.append(Sample(results, self.apply(results)['inputs']))
        return samples

    def gallery(self) -> Gallery:
        """Images of all people that were drawn, or up to ``GALLERY`` photographs."""
        infos = self._infos(min(len(self.dataset), GALLERY))
        images = [self._image(info) for info in infos]
        known = {
            key: np.array([info[key] for info in infos]) if key in infos[0] else None
            for key in ('identity', 'camera')
        }
        return Gallery(torch.stack(images), known['identity'], known['camera'])

    def _infos(self, count: int) -> list[dict]:
        indices = np.linspace(0, len(self.dataset) - 1, count).round().astype(int)
        return [self.dataset.get_data_info(int(index)) for index in indices]

    def _spread(self, count: int) -> list[int]:
        """Indices of different people, evenly spread over the data set."""
        infos = self._infos(min(len(self.dataset), GALLERY))
        one_each: dict[int, dict] = {}
        for info in infos:
            one_each.setdefault(info.get('identity', info['sample_idx']), info)
        infos = list(one_each.values())
        chosen = np.linspace(0, len(infos) - 1, min(count, len(infos))).round()
        return [infos[int(i)]['sample_idx'] for i in chosen]

    def _image(self, info: dict) -> Tensor:
        image = np.ascontiguousarray(self.dataset.load_image(info))
        return resize(torch.from_numpy(image).permute(2, 0, 1), self.size)


def _choose(dataset: ConfigDict, folder: str | None) -> str:
    """Put what is to be looked at into the config of the data set; say what it is."""
    scenes = dataset.get('scenes')
    if scenes and scenes.type.endswith('SyntheticScenes'):
        scenes.seed = scenes.get('seed', 0) + HELD_OUT
    if folder is not None:
        pipeline = dataset.pipeline
        dataset.clear()
        dataset.update(
            type='PersonImages',
            data_root=str(folder),
            min_size=(1, 1),
            pipeline=pipeline,
            scenes=scenes,
        )
        return f'Images of {folder}.'
    if dataset.type.endswith('SyntheticPeople'):
        dataset.seed = dataset.get('seed', 0) + HELD_OUT
        dataset.num_identities, dataset.images_per_identity = IDENTITIES, IMAGES_EACH
        return 'People drawn from another seed than the training’s: all held out.'
    return 'Images of the training itself; --images FOLDER takes others.'
