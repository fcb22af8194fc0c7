"""Composite and radar chart of a comparison."""

import json

import numpy as np
import pytest
from launch import ROOT
from matplotlib.image import imread

from saip_mm.evaluation.composite import (
    composite,
    composite_table,
    places,
    scales_of,
)
from saip_mm.evaluation.radar import radar_scales, write_radar


def row(name: str, **scores: list[float]) -> dict:
    probes = {
        probe.replace('_', '/'): dict(mean=np.mean(x), values=x, n=len(x))
        for probe, x in scores.items()
    }
    return dict(row=name, n=1, probes=probes)


SUMMARY = [
    row('histogram', reid_mAP=[0.2], attributes_mA=[0.55]),
    row('pixels', reid_mAP=[0.1], attributes_mA=[0.6]),
    row('random', reid_mAP=[0.1], attributes_mA=[0.5], parts_mIoU=[0.2, 0.2]),
    row('a', reid_mAP=[0.3, 0.5], attributes_mA=[0.5, 0.5], parts_mIoU=[0.3, 0.5]),
    row('b', reid_mAP=[0.25, 0.35], attributes_mA=[0.6, 0.6], parts_mIoU=[0.6, 0.6]),
    row('c', search_gain=[0.4], x_RankMe=[9.0]),
]


def test_composite_by_hand():
    scales = scales_of(SUMMARY)
    assert scales['attributes/mA'] is None  # nothing exceeds pixels
    used = {name: scale for name, scale in scales.items() if scale}
    assert used == {'reid/mAP': (0.2, 0.4), 'parts/mIoU': (0.2, 0.6)}
    by_name = {each['row']: each for each in SUMMARY}
    first = [(0.1 / 0.2 + 0.1 / 0.4) / 2, (0.3 / 0.2 + 0.3 / 0.4) / 2]
    assert composite(by_name['a'], used) == pytest.approx(first)
    assert composite(by_name['histogram'], used) == []  # without parts
    assert places(SUMMARY) == dict(histogram=0, pixels=1, random=0, a=2, b=3, c=0)
    table = composite_table(SUMMARY)
    assert (
        f'| a | {np.mean(first):.2f} ± {np.std(first, ddof=1):.2f} | 2 of 3 |' in table
    )
    assert 'nothing exceeds zero: attributes/mA.' in table


def test_no_composite_without_scores():
    assert composite_table(SUMMARY[-1:]) == ''


def test_radar_of_the_documented_results(tmp_path):
    results = json.loads((ROOT / 'docs/comparison.json').read_text())
    write_radar(tmp_path / 'radar.png', results)
    picture = imread(tmp_path / 'radar.png')
    assert min(picture.shape[:2]) > 500 and picture.std() > 0.05
    scale = radar_scales(results)['reid/mAP']
    means = {each['row']: each['probes']['reid/mAP']['mean'] for each in results}
    assert scale == (means['random'], means['histogram'])
    with pytest.raises(ValueError, match='needs 3 probes, the results have 2'):
        write_radar(tmp_path / 'radar.png', SUMMARY[:2])
