"""Weights in the package."""

import numpy as np
import pytest
import torch

import saip_mm
from saip_mm.checkpoints import files
from saip_mm.data import SyntheticPeople
from saip_mm.downstream.retrieval import LabeledFeatures, evaluate_retrieval


@pytest.mark.parametrize('name, channels', [('saip-small', 96), ('saip-vit-tiny', 192)])
def test_weights_are_loaded_by_name(name, channels):
    backbone = saip_mm.load_backbone(name)
    images = [np.full((90, 40, 3), value, np.uint8) for value in (0, 255)]
    features = saip_mm.embed(backbone, images)
    assert features.shape == (2, channels) and features.isfinite().all()
    assert backbone.img_size == (128, 64)


def test_the_small_model_tells_drawn_people_apart():
    """40 people with 6 images each: at least twice as well as random weights."""
    people = SyntheticPeople(40, 6, seed=900_001, size=(128, 64))
    infos = [people.get_data_info(i) for i in range(len(people))]
    images = [people.load_image(info) for info in infos]
    pids = torch.tensor([info['identity'] for info in infos]) + 1
    camids = torch.tensor([info['camera'] for info in infos])

    def mean_average_precision(backbone):
        found = LabeledFeatures(saip_mm.embed(backbone, images), pids, camids)
        return evaluate_retrieval(found, found).mean_average_precision

    trained = saip_mm.load_backbone('saip-small')
    score = mean_average_precision(trained)
    torch.manual_seed(0)
    trained.backbone.init_weights()
    assert score > 2 * mean_average_precision(trained)


def test_damaged_and_unknown_weights(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match='large; weights in the package: s'):
        saip_mm.load_backbone('saip-large')
    monkeypatch.setattr(files, '_WEIGHTS', tmp_path)
    (tmp_path / 'saip-small.safetensors').write_bytes(b'damaged')
    for name in ('saip-small', 'saip-vit-tiny'):
        with pytest.raises(ValueError, match=f'{name}.* is missing or damaged'):
            saip_mm.load_backbone(name)
