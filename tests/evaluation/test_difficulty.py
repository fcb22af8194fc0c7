"""Drawn people are neither recognized by color nor impossible to tell apart."""

import numpy as np
import pytest
import torch

from saip_mm.data import SyntheticPeople
from saip_mm.downstream.retrieval import LabeledFeatures, evaluate_retrieval
from saip_mm.evaluation import Subject
from saip_mm.evaluation.features import BASELINES, BaselineFeatures


@pytest.fixture(scope='module')
def people():
    """100 people, 8 images each: labeled images, identities, cameras."""
    dataset = SyntheticPeople(100, 8, seed=900_001)
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    numbers = torch.tensor([[info['identity'] + 1, info['camera']] for info in infos])
    return [dataset.load_labeled(info) for info in infos], *numbers.T


def mean_average_precision(features, people):
    sightings = LabeledFeatures(features, *people[1:])
    return evaluate_retrieval(sightings, sightings).mean_average_precision


@pytest.mark.parametrize('name', BASELINES)
def test_colors_do_not_tell_people_apart(people, name):
    images = [labeled.image for labeled in people[0]]
    features = Subject(BaselineFeatures(name)).embed(images).image
    assert 0.01 < mean_average_precision(features, people) < 0.25


def test_attributes_and_measurements_do(people):
    persons = [labeled.people[0] for labeled in people[0]]
    traits = np.stack(
        [np.append(p.attributes, [*vars(p.body).values()]) for p in persons]
    )
    features = torch.from_numpy((traits - traits.mean(0)) / traits.std(0))
    assert mean_average_precision(features, people) >= 0.9
