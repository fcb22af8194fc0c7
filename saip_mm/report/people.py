"""People shown in a report: held-out drawn people, or photographs."""

import copy
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmpretrain.registry import DATASETS
from torch import Tensor

from ..data import PeopleDataset
from ..data.configs import pipeline_of, type_name
from ..data.images import resize, to_tensor
from ..evaluation.subject import spread
from ..models.device_views import pop_views
from .work_dir import Unavailable

HELD_OUT = 1_000_000  # added to the seeds of drawn people and scenes
IDENTITIES, IMAGES_EACH = 24, 8  # of drawn people
GALLERY = 240  # maximum number of photographs
T = TypeVar('T')


class Gallery(NamedTuple):
    """Images to compare."""

    images: Tensor  # uint8 [N, 3, h, w]
    pids: np.ndarray  # int64 [N]; a different number for every photograph
    camids: np.ndarray  # int64 [N]
    known: bool  # whether identities are known


class People:
    """Images of people, and views of them as in training.

    Args:
        cfg: Config of the training. Drawn people and scenes are drawn from other seeds;
            for other data sets, the training images are shown.
        folder: Images to show instead; scenes remain those of the config, if it has
            any.

    Attributes:
        note: Description of the images.
        bad: Reasons by image, for images that could not be read.

    Raises:
        Unavailable: If the config has no pipeline of views.
        OSError: If there are no images.
    """

    def __init__(self, cfg: Config, folder: str | None = None) -> None:
        dataset = copy.deepcopy(cfg.train_dataloader.dataset)
        steps = pipeline_of(dataset)
        if not any(type_name(step) == 'DrawViews' for step in steps):
            raise Unavailable('The config has no pipeline of views.')
        self.apply = pop_views(dataset)
        self.note = _choose(dataset, folder)
        self.dataset: PeopleDataset = DATASETS.build(dataset)
        self.size = tuple(self.dataset.pipeline.transforms[-1].global_size)
        self.infos = [
            self.dataset.get_data_info(i) for i in spread(len(self.dataset), GALLERY)
        ]
        self.bad: list[str] = []

    def samples(self, count: int) -> list[dict]:
        """Samples of up to ``count`` different people (images, if ids are unknown).

        Returns:
            Outputs of the pipeline, with ``image``, ``views``, and the tensors of
            ``ApplyViews`` as ``inputs``.
        """
        firsts: dict[int, dict] = {}
        for info in self.infos:
            firsts.setdefault(info.get('identity', info['sample_idx']), info)
        infos = list(firsts.values())
        # After those chosen, the others replace images that cannot be read.
        order = dict.fromkeys([*spread(len(infos), count), *range(len(infos))])

        def load(info: dict) -> dict:
            results = self.dataset[info['sample_idx']]
            return results | self.apply(results)

        return self._usable((infos[i] for i in order), load, count)

    def gallery(self) -> Gallery:
        """All drawn people, or up to ``GALLERY`` photographs."""

        def load(info: dict) -> tuple[dict, Tensor]:
            image = self.dataset.load_image(info)
            return info, resize(to_tensor(image), self.size)

        infos, images = zip(*self._usable(self.infos, load), strict=True)
        pids = [info.get('identity', number) for number, info in enumerate(infos)]
        camids = [info.get('camera', 0) for info in infos]
        known = 'identity' in infos[0]
        return Gallery(torch.stack(images), np.array(pids), np.array(camids), known)

    def _usable(
        self, infos: Iterable[dict], load: Callable[[dict], T], count: int = GALLERY
    ) -> list[T]:
        """Up to ``count`` loaded images; errors are listed in ``bad``."""
        loaded: list[T] = []
        for info in infos:
            if len(loaded) == count:
                break
            try:
                loaded.append(load(info))
            except OSError as error:
                if str(error) not in self.bad:  # also of the image of a scene
                    self.bad.append(str(error))
        if not loaded:
            raise OSError(self.bad[0])
        return loaded


def _choose(dataset: ConfigDict, folder: str | None) -> str:
    """Change a data set's config to the data to show; return its description."""
    scenes = dataset.get('scenes')
    if scenes and scenes.type.endswith('SyntheticScenes'):
        scenes.seed = scenes.get('seed', 0) + HELD_OUT
    if folder is not None:
        kept = dict(pipeline=dataset.pipeline, scenes=scenes)
        dataset.clear()
        dataset.update(type='PersonImages', data_root=folder, min_size=(1, 1), **kept)
        return f'Images of {folder}.'
    if dataset.type.endswith('SyntheticPeople'):
        dataset.seed = dataset.get('seed', 0) + HELD_OUT
        dataset.num_identities, dataset.images_per_identity = IDENTITIES, IMAGES_EACH
        return 'Held-out people, drawn from another seed than the training’s.'
    return 'Training images; --images FOLDER shows others.'
