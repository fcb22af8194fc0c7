"""The model of a work directory, and what it takes and gives."""

import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from torch import Tensor

from ..checkpoints.checkpoint_file import read_checkpoint
from ..evaluation.features import embed
from ..evaluation.subject import RANDOM, Subject, load_subject
from ..models import SAIP
from ..training.teacher import MUCH, saved_start_share
from .people import Sample
from .work_dir import Unavailable, WorkDir


def untrained(config: Config) -> Subject:
    """The architecture of a config with random weights."""
    return load_subject(RANDOM, config, _device())


def latest(work_dir: WorkDir, config: Config) -> tuple[Subject, str]:
    """The model of the latest checkpoint that can be read.

    Args:
        work_dir: Where it is looked for.
        config: Of the model.

    Returns:
        The model, and a sentence that names the checkpoint.

    Raises:
        Unavailable: If there is none.
    """
    files, problems = work_dir.checkpoints(), []
    for file in files:
        try:
            subject = load_subject(str(file), config, _device())
        except (OSError, ValueError) as error:
            problems.append(f'{file.name} is left out: {error}.')
            continue
        says = [f'Weights of {file.name}.', *problems]
        share = saved_start_share(read_checkpoint(file))
        if share is not None and share > MUCH:
            says.insert(
                1, f'{share:.0%} of them are those that the teacher began with.'
            )
        return subject, ' '.join(says)
    raise Unavailable(' '.join(problems) or 'There is no checkpoint yet.')


def prepare(model: SAIP, samples: list[Sample]) -> dict[str, Tensor]:
    """Inputs of :meth:`SAIP.loss` for some samples, queries at their own size."""
    model.data_preprocessor.step_scales = (1.0, 1.0)
    batch = default_collate([dict(inputs=sample.inputs) for sample in samples])
    return model.data_preprocessor(batch)['inputs']


def normalise(model: SAIP, images: Tensor) -> Tensor:
    """uint8 [N, 3, h, w] → float, as the backbone takes it, on the model's device."""
    colours = model.data_preprocessor
    return (images.to(colours.mean) - colours.mean) / colours.std


def denormalise(model: SAIP, images: Tensor) -> Tensor:
    """float [N, 3, h, w] of the backbone → uint8 on the CPU."""
    colours = model.data_preprocessor
    pixels = images * colours.std + colours.mean
    return pixels.round().clamp(0, 255).to(torch.uint8).cpu()


def image_tokens(subject: Subject, images: Tensor) -> Tensor:
    """The teacher's tokens [N, C] of uint8 images [N, 3, h, w], on the CPU."""
    arrays = images.permute(0, 2, 3, 1).numpy()
    return embed(subject.features, arrays, device=subject.device).image


def _device() -> str:
    return 'cuda' if torch.cuda.is_available() else 'cpu'
