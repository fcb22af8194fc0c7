"""Search and reconstruction with the right person's token and with a stranger's."""

import numpy as np
import torch
from mmpretrain.registry import TRANSFORMS
from rich.progress import track
from torch import Tensor
from torch.utils.data import default_collate

from ..data import ApplyViews, DrawViews, SyntheticPeople
from ..data.configs import pipeline_of
from ..models import SAIP

BATCH = 32
VIEWS_SEED = 900_003  # not used by any config


def draw_batches(dataset: dict, num_people: int) -> list[dict[str, Tensor]]:
    """Batches of training views of people that no model was trained on, one image each.

    Args:
        dataset: Config of the training images, whose pipeline makes the views; the
            first one's, if there are several data sets.
        num_people: At least 2, as each is the stranger of another.
    """
    if num_people < 2:
        raise ValueError(f'views={num_people}: give at least 2, for strangers')
    steps = [*map(TRANSFORMS.build, pipeline_of(dataset)[:-1]), ApplyViews()]
    drawing = next(step for step in steps if isinstance(step, DrawViews))
    scenes = dict(type='SyntheticScenes', num_scenes=num_people, seed=VIEWS_SEED)
    people = SyntheticPeople(
        num_people,
        1,
        VIEWS_SEED,
        drawing.global_size,
        pipeline=steps,
        scenes=dict(scenes, size=drawing.scene_size),
    )
    keys = track(range(num_people), 'Drawing views', transient=True)
    views = [people[VIEWS_SEED, 0, i]['inputs'] for i in keys]
    parts = np.array_split(np.arange(num_people), -(-num_people // BATCH))
    return [default_collate([views[i] for i in part]) for part in parts]


@torch.no_grad()
def probe_objectives(model: SAIP, batches: list[dict[str, Tensor]]) -> dict[str, float]:
    """Scores of the heads that the model has, with the teacher's tokens.

    A stranger is the person of the batch's previous image. The model, in evaluation
    mode, does not change.
    """
    found = [_scores(model, batch, step) for step, batch in enumerate(batches)]
    means = {}
    for name in found[0]:
        values = torch.cat([scores[name].double().cpu() for scores in found])
        means[name] = values.mean().item()
    for head, measure, sign in ('search', 'IoU', 1), ('reconstruction', 'loss', -1):
        if f'{head}/{measure}' in means:
            right, stranger = (means[f'{head}/{measure}{x}'] for x in ('', '_stranger'))
            means[f'{head}/gain'] = sign * (right - stranger)
    return means


def _scores(model: SAIP, batch: dict[str, Tensor], step: int) -> dict[str, Tensor]:
    """Scores of every image of a batch."""
    scales = model.data_preprocessor.draw_scales(VIEWS_SEED, step)
    inputs = model.data_preprocessor(dict(inputs=batch, scales=scales))['inputs']
    anchor = model.teacher['encoder'](inputs['globals'][:, 0], until='middle')
    scores = {}
    if model.search:
        scores |= _search(model, anchor.middle_tokens, inputs)
    if model.reconstruction:
        scores |= _reconstruct(model, anchor.middle_token, inputs)
    return scores


def _search(model: SAIP, anchor: Tensor, inputs: dict) -> dict[str, Tensor]:
    """IoU of the mask predicted for tokens [B, 1 + n, C] and the place of inst.

    Only for scenes in which this place covers at least one token.
    """
    found = model.find([anchor, anchor.roll(1, dims=0)], inputs['scene']) > 0
    place = inputs['scene_masks'][:, :1].bool()
    iou = (found & place).sum(dim=(2, 3)) / (found | place).sum(dim=(2, 3))
    iou, stranger = iou[place.any(dim=(2, 3))[:, 0]].unbind(1)
    return {'search/IoU': iou, 'search/IoU_stranger': stranger}


def _reconstruct(model: SAIP, anchor: Tensor, inputs: dict) -> dict[str, Tensor]:
    """Loss with anchor tokens [B, C] and with those of strangers."""
    losses = {}
    for end, token in ('', anchor), ('_stranger', anchor.roll(1, dims=0)):
        prediction, mask = model.reconstruct(model.teacher['encoder'], token, inputs)
        loss = model.reconstruction.loss(prediction, inputs['csr'], mask)
        losses[f'reconstruction/loss{end}'] = loss.expand(len(token))
    return losses
