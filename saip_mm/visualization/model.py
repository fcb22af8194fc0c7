"""The model of a work directory, as it is now and as it began."""

from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmpretrain.registry import MODELS
from torch import Tensor

from ..engine.checkpoint import load_weights, read_checkpoint
from ..engine.convert import state_dict_of
from ..models import SAIP
from .people import Sample
from .work_dir import Unavailable, WorkDir

BATCH = 32


def initial_model(cfg: Config, notes: list[str] | None = None) -> SAIP:
    """The model of a config before its training.

    Args:
        cfg: Config of the training.
        notes: Gets a sentence if the weights that it started from are not there any
            more, and random ones take their place.
    """
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    try:
        model.init_weights()
    except (OSError, ValueError) as error:
        if notes is not None:
            notes.append(f'Random, because of the weights to start from: {error}.')
        for module in model.modules():
            module.init_cfg = None
        model.init_weights()
    model.data_preprocessor.step_scales = (1.0, 1.0)  # queries as large as they come
    return model.eval().to('cuda' if torch.cuda.is_available() else 'cpu')


def trained_model(work_dir: WorkDir, cfg: Config) -> tuple[SAIP, str]:
    """The model of the latest checkpoint that can be read.

    Returns:
        The model, and a sentence that names the checkpoint.

    Raises:
        Unavailable: If there is none.
    """
    files, problems = work_dir.checkpoints(), []
    for file in files:
        try:
            checkpoint = read_checkpoint(file)
            model = initial_model(cfg)
            report = load_weights(model, state_dict_of(checkpoint))
            if any(not name.startswith('data_prep') for name in report.missing):
                raise ValueError(f'{file} is not of the whole model: {report}')
        except (OSError, ValueError) as error:
            problems.append(f'{file.name} is left out: {error}.')
            continue
        return model, ' '.join([f'Checkpoint {_name(file, checkpoint)}.', *problems])
    if not files:
        raise Unavailable('There is no checkpoint yet.')
    raise Unavailable(' '.join(problems))


def prepare(model: SAIP, samples: list[Sample]) -> dict[str, Tensor]:
    """Inputs of :meth:`SAIP.loss` for some samples, queries at their own size."""
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


@torch.inference_mode()
def image_tokens(model: SAIP, images: Tensor) -> Tensor:
    """The teacher's tokens [N, C] of uint8 images [N, 3, h, w], on the CPU."""
    encoder = model.teacher['encoder']
    tokens = [
        encoder(normalise(model, batch)).image_token.cpu()
        for batch in images.split(BATCH)
    ]
    return torch.cat(tokens)


def _name(file: Path, checkpoint: dict) -> str:
    meta = checkpoint.get('meta', {})
    done = meta.get('iter') if isinstance(meta, dict) else None
    return f'{file.name}, after {done} steps' if isinstance(done, int) else file.name
