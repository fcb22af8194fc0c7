"""Composite and radar chart of a comparison."""

import json

import numpy as np
import pytest
from launch import ROOT
from matplotlib.image import imread

from saip_mm.evaluation.table import composite_table, scales_of, write_radar


def row(name: str, **scores: list[float]) -> dict:
    probes = {
        probe.replace('_', '/'): dict(mean=np.mean(x), values=x, n=len(x))
        for probe, x in scores.items()
    }
    return dict(row=name, n=1, probes=probes)


ROUNDED = np.nextafter(0.6, 1)  # a mean over seeds may be
SUMMARY = [
    row('histogram', reid_mAP=[0.2], attributes_mA=[0.55]),
    row('pixels', reid_mAP=[0.1], attributes_mA=[0.6]),
    row('random', reid_mAP=[0.1], attributes_mA=[0.5], parts_mIoU=[0.2, 0.2]),
    row('a', reid_mAP=[0.3, 0.5], attributes_mA=[0.5, 0.5], parts_mIoU=[0.3, 0.5]),
    row('b', reid_mAP=[0.25, 0.35], attributes_mA=[ROUNDED], parts_mIoU=[0.6, 0.6]),
    row('c', search_gain=[0.4], x_RankMe=[9.0], crowd_mMR=[0.9]),
]


def test_composite_by_hand():
    # Nothing exceeds pixels in attributes, except by rounding.
    assert scales_of(SUMMARY) == {'reid/mAP': (0.2, 0.4), 'parts/mIoU': (0.2, 0.6)}
    table = composite_table(SUMMARY)
    composite = (0.2 / 0.2 + 0.2 / 0.4) / 2
    assert f'| a | {composite:.2f} | 2 of 3 |' in table
    assert '| histogram | – | 0 of 3 |' in table  # without parts
    assert '| pixels | – | 1 of 3 |' in table and '| b | 0.75 | 3 of 3 |' in table
    assert 'nothing exceeds zero: attributes/mA.' in table


def test_no_composite_without_scores():
    assert composite_table(SUMMARY[-1:]) == ''


def test_radar_of_the_documented_results(tmp_path):
    results = json.loads((ROOT / 'docs/comparison.json').read_text())
    write_radar(tmp_path / 'radar.png', results)
    picture = imread(tmp_path / 'radar.png')
    assert min(picture.shape[:2]) > 500 and picture.std() > 0.05
    scale = scales_of(results, min)['reid/mAP']
    means = {each['row']: each['probes']['reid/mAP']['mean'] for each in results}
    assert scale == (means['random'], means['stripes'])
    with pytest.raises(ValueError, match='needs 3 probes, the results have 2'):
        write_radar(tmp_path / 'radar.png', SUMMARY[:2])
