"""Search and reconstruction, one sample at a time, with the heads as they are."""

import pytest
import torch
from launch import TINY
from mmengine.config import Config
from mmpretrain.registry import MODELS

from saip_mm.evaluation.objectives import VIEWS_SEED, draw_batches, probe_objectives


@pytest.fixture(scope='module')
def cfg():
    return Config.fromfile(TINY)


@pytest.fixture(scope='module')
def batches(cfg):
    return draw_batches(cfg.train_dataloader.dataset, 35)


@pytest.fixture
def model(cfg):
    torch.manual_seed(1)
    model = MODELS.build(cfg.model)
    for parameter in model.parameters():  # unlike the initial ones, they differ
        torch.nn.init.normal_(parameter.data, std=0.5)
    return model.eval()


def test_everybody_is_drawn_once_and_nobody_is_alone(cfg, batches):
    assert [len(batch['globals']) for batch in batches] == [18, 17]
    draw, _ = cfg.train_dataloader.dataset.pipeline
    pipeline = [draw, dict(type='PackViews', canvas=(8, 8))]  # of training images
    (batch,) = draw_batches(dict(pipeline=pipeline), 2)
    own = dict(type='ConcatDataset', datasets=[dict(pipeline=pipeline), dict()])
    shared = dict(type='ConcatDataset', datasets=[dict()], pipeline=pipeline)
    for concatenated in (own, dict(own, pipeline=[draw]), shared):
        (same,) = draw_batches(concatenated, 2)
        assert same['globals'].equal(batch['globals'])
    assert batch['globals'].shape[1:] == batches[0]['globals'].shape[1:]
    anchors = torch.cat([batch['globals'][:, 0] for batch in batches]).flatten(1)
    assert len(anchors.unique(dim=0)) == 35


def test_one_person_is_no_stranger(cfg):
    with pytest.raises(ValueError, match='give at least 2'):
        draw_batches(cfg.train_dataloader.dataset, 1)


@torch.no_grad()
def test_scores_of_every_sample_by_itself(model, batches):
    scores = probe_objectives(model, batches)
    encode, found = model.teacher['encoder'], {}
    for step, batch in enumerate(batches):
        scales = model.data_preprocessor.draw_scales(VIEWS_SEED, step)
        views = model.data_preprocessor(dict(inputs=batch, scales=scales))['inputs']
        anchors = [encode(view[None]) for view in views['globals'][:, 0]]
        losses = {'loss': [], 'loss_stranger': []}
        for i in range(len(anchors)):
            scene = encode(views['scene'][i : i + 1]).middle_map
            csr = views['csr'][i : i + 1]
            grid = (csr.shape[2] // 16, csr.shape[3] // 16)
            noise = views['csr_noise'][i : i + 1]
            visible, mask = model.reconstruction.draw_mask(noise, grid)
            masked = encode(csr, visible)
            place = views['scene_masks'][i, 0].bool()
            for end, anchor in ('', anchors[i]), ('_stranger', anchors[i - 1]):
                logits = model.search([anchor.middle_tokens], scene)[0, 0]
                said = logits.sigmoid() > 0.5
                iou = (said & place).sum() / (said | place).sum()
                if place.any():
                    found.setdefault(f'search/IoU{end}', []).append(iou)
                pixels = model.reconstruction(
                    anchor.middle_token, masked.middle_token, masked.middle_map, mask
                )
                losses[f'loss{end}'].append(
                    model.reconstruction.loss(pixels, csr, mask)
                )
        for name, values in losses.items():
            found.setdefault(f'reconstruction/{name}', []).extend(values)
    for name, values in found.items():
        assert scores[name] == pytest.approx(torch.stack(values).mean().item(), 1e-4)
    right, stranger = scores['search/IoU'], scores['search/IoU_stranger']
    assert scores['search/gain'] == right - stranger
    assert scores['reconstruction/gain'] == (
        scores['reconstruction/loss_stranger'] - scores['reconstruction/loss']
    )
    assert right != stranger and 0 < right < 1
