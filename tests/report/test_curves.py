"""The drawn curves hold the logged numbers."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from saip_mm.report.curves import (
    Chart,
    draw,
    loss_charts,
    probe_charts,
    thin,
    ticks,
)

POINTS = [(10, 5.5), (20, 6.25), (30, 0.001), (70, -3.0)]


def number(text):
    units = dict(k=1e3, M=1e6, G=1e9)
    return float(text.rstrip('kMG')) * units.get(text[-1], 1)


def read_curve(svg, colour='c0'):
    """Points of a curve, by the labels of the axes alone: an oracle without our scale.

    Every tick gives a pair (place in the picture, number); the line through these pairs
    is the scale.
    """
    root = ElementTree.fromstring(svg)
    texts = [(node.get('class'), node) for node in root.iter('text')]
    down = [(float(n.get('y')) - 4, number(n.text)) for kind, n in texts if kind == 'y']
    along = [
        (float(n.get('x')), number(n.text))
        for kind, n in texts
        if kind == 'x' and re.fullmatch(r'[\d.e+-]+', n.text)
    ]
    to_value, to_step = (
        np.polyfit(*zip(*pairs, strict=True), 1) for pairs in (down, along)
    )
    path = next(
        n for n in root.iter('path') if n.get('class') == colour and 'L' in n.get('d')
    )
    places = re.findall(r'([\d.]+) ([\d.]+)', path.get('d'))
    return [
        (np.polyval(to_step, float(x)), np.polyval(to_value, float(y)))
        for x, y in places
    ]


@pytest.mark.parametrize('scale', [1, 1e-4, 3e6])
def test_points_are_where_the_axes_say(scale):
    points = [(step, value * scale) for step, value in POINTS]
    svg = draw(Chart('name', 'unit', dict(loss=points)))
    steps, values = zip(*read_curve(svg), strict=True)
    assert steps == pytest.approx([step for step, _ in points], abs=0.1)
    assert values == pytest.approx([value for _, value in points], abs=0.02 * scale)


def test_two_curves_share_their_axes():
    other = [(0, 1.0), (70, 2.0)]
    svg = draw(Chart('name', 'unit', dict(one=POINTS, two=other)), images_per_step=32)
    drawn = read_curve(svg, 'c1')
    assert [v for _, v in drawn] == pytest.approx([1, 2], abs=0.1)


def test_images_seen_are_under_the_steps():
    svg = draw(Chart('name', 'unit', dict(loss=[(0, 1.0), (2000, 2.0)])), 2048)
    pale = re.findall(r'class="x pale"[^>]*>([^<]+)<', svg)
    steps = re.findall(r'class="x" [^>]*>(\d+)<', svg)
    assert [number(text) for text in pale] == pytest.approx(
        [2048 * float(step) for step in steps], rel=1e-3
    )


@pytest.mark.parametrize(
    'points', [[(5, 1.0)], [(5, 0.0), (6, 0.0)], [(0, -2.0)], [(1, 1e-30)]]
)
def test_single_and_constant_points_can_be_drawn(points):
    svg = draw(Chart('name', 'unit', dict(loss=points)))
    places = re.findall(r'c[xy]="([^"]+)"', svg)
    assert len(places) == 2 * len(points)
    assert all(0 < float(place) < 400 for place in places)


def test_names_are_escaped():
    svg = draw(Chart('<b>&', '"', {'<i>': POINTS}))
    assert '<b>' not in svg and '<i>' not in svg
    ElementTree.fromstring(svg)


@pytest.mark.parametrize('low, high', [(0, 1), (0.32, 0.6), (-7, 1e6), (3, 3), (0, 0)])
def test_ticks_enclose_the_values_in_even_steps(low, high):
    found = ticks(low, high, 5)
    assert found[0] <= low and found[-1] >= high and 2 <= len(found) <= 8
    assert np.allclose(np.diff(found), found[1] - found[0])


def test_many_points_become_means():
    points = [(i, float(i % 7)) for i in range(1, 1001)]
    means = thin(points, limit=100)
    assert len(means) == 100
    assert means[3] == (40, sum(float(i % 7) for i in range(31, 41)) / 10)


def test_every_loss_has_a_chart():
    names = ['loss', 'loss_csm', 'teacher_entropy', 'loss_attn', 'loss_csr']
    names += ['loss_css_inst', 'loss_css_roi', 'lr', 'loss_new', 'data_time']
    charts = loss_charts({name: POINTS for name in names}, prototypes=64)
    assert sum(len(chart.curves) for chart in charts) == len(names) - 1
    levels = [level for chart in charts for level in chart.levels.values()]
    assert levels == pytest.approx([np.log(64), 1])


def test_an_ablation_has_no_chart_of_what_it_lacks():
    (chart,) = loss_charts(dict(loss_csr=POINTS))
    assert chart.curves == dict(loss=POINTS)


def test_probes_are_grouped():
    series = {'probe/reid/mAP': POINTS, 'probe/reid/rank1': POINTS, 'loss': POINTS}
    (chart,) = probe_charts(series | {'other/reid': POINTS})
    assert chart.title == 'reid' and list(chart.curves) == ['mAP', 'rank1']


def test_gains_have_their_own_chart():
    names = ['IoU', 'IoU_stranger', 'gain']
    charts = probe_charts({f'probe/search/{name}': POINTS for name in names})
    assert [list(chart.curves) for chart in charts] == [
        ['IoU', 'IoU, stranger'],
        ['gain'],
    ]
