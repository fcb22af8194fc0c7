"""The charts hold the logged numbers."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from saip_mm.report.charts import Chart, draw, loss_charts, plot, probe_charts

POINTS = [(10, 5.5), (20, 6.25), (30, 0.001), (70, -3.0)]


def test_every_loss_has_a_chart_and_nothing_else():
    names = 'loss loss_csm teacher_entropy matching_kl loss_attn loss_csr loss_css_inst'
    names = [*names.split(), 'loss_css_roi', 'lr', 'loss_new', 'data_time']
    charts = loss_charts({name: POINTS for name in names}, prototypes=64)
    assert sum(len(chart.curves) for chart in charts) == len(names) - 1
    levels = [level for chart in charts for level in chart.levels.values()]
    assert levels == pytest.approx([np.log(64), 1])
    (ablation,) = loss_charts(dict(loss_csr=POINTS))
    assert ablation.curves == dict(loss=POINTS)


def test_probes_are_grouped_and_gains_apart():
    names = ['search/IoU', 'search/IoU_stranger', 'search/gain', 'reid']
    names += ['viper/mAP', 'viper/RankMe']
    series = {f'probe/{name}': POINTS for name in names}
    series |= {f'gradient/{name}': POINTS for name in ('a', 'b', 'cos_a_b')}
    charts = probe_charts(series | {'other/reid': POINTS, 'loss': POINTS})
    found = {chart.title: list(chart.curves) for chart in charts}
    assert found == {
        'search': ['IoU', 'IoU, stranger'],
        'search: gain': ['gain'],
        'reid': ['reid'],
        'viper': ['mAP'],
        'viper: RankMe': ['RankMe'],
        'Gradients on shared parameters': ['a', 'b'],
        'Gradients: cosines': ['a_b'],
    }


def test_curves_are_the_points():
    other = [(0, 1.0), (70, 2.0)]
    chart = Chart('name', 'unit', dict(one=POINTS, two=other), dict(level=0.5))
    (axes,) = plot(chart, images_per_step=2048).axes
    one, two, level = axes.lines
    assert one.get_xydata().tolist() == [list(point) for point in POINTS]
    assert two.get_xydata().tolist() == [list(point) for point in other]
    assert set(level.get_ydata()) == {0.5}
    assert [each.get_label() for each in (one, two)] == ['one 5.5 → -3', 'two 1 → 2']
    assert axes.get_xlabel() == 'optimizer steps of 2,048 images'
    assert 'one 5.5 at step 10, -3 at step 70; two 1' in str(chart)


@pytest.mark.parametrize('points', [POINTS, [(5, 1.0)], [(5, 0.0), (6, 0.0)]])
def test_charts_are_svg_in_the_color_of_the_text(points):
    svg = draw(Chart('<b>&', '"', {'<i>': points}, {}))
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith('svg') and 'viewBox' in root.attrib
    assert 'width' not in root.attrib
    assert '<b>' not in svg and '<i>' not in svg
    assert 'currentColor' in svg and '#000000' not in svg


def test_losses_are_shown_without_their_weights():
    series = dict(loss=POINTS, loss_csm=POINTS, loss_csr=POINTS, teacher_entropy=POINTS)
    charts = loss_charts(series, loss_weights=dict(matching=0.5, reconstruction=1))
    found = {chart.title: chart.curves for chart in charts}
    doubled = [(step, 2 * value) for step, value in POINTS]
    assert found['Matching (CSM)'] == dict(loss=doubled, entropy=POINTS)
    assert found['Reconstruction (CSR)'] == dict(loss=POINTS)
    assert found['Total loss'] == dict(loss=POINTS)
