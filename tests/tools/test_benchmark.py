"""tools/benchmark.py on a small model; counts against independent ones."""

import json
from types import SimpleNamespace

import numpy as np
import plain_views
import pytest
from benchmarks import loading
from benchmarks.loading import draw_files
from launch import ROOT, TINY
from launch import run as run_script
from mmengine.config import Config
from mmpretrain.registry import MODELS
from random_models import write_teacher

from saip_mm.checkpoints.teachers import DistillationTeacher
from saip_mm.data import DrawViews, PersonImages

TOOL = 'tools/benchmark.py'
STAR = ROOT / 'tests/configs/tiny_star.py'
TINYVIT = ROOT / 'tests/configs/tiny_tinyvit.py'
PHASES = {'forward', 'backward', 'optimizer', 'teacher', 'total'}


def assert_spread(values):
    median, low, high = values
    assert 0 < low <= median <= high


@pytest.fixture(scope='module')
def results(tool, tmp_path_factory):
    people = tmp_path_factory.mktemp('people')
    draw_files(people, 8, (64, 32))
    path = tmp_path_factory.mktemp('benchmark') / 'tiny.json'
    options = ['--batch-size', '2', '--rounds', '1', '--workers', '1']
    options += ['--precision', 'fp32', '--data', str(people)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('PYTHONPATH', str(ROOT))
        patch.setattr('sys.argv', [TOOL, str(TINY), '--out', str(path), *options])
        forking = SimpleNamespace(PIPE=None, run=lambda x, **_: run_script(*x[1:]))
        patch.setattr(tool, 'subprocess', forking)
        tool.main()
    return path


def test_every_part_is_measured_and_rendered(results, run, tmp_path):
    found = json.loads(results.read_text())
    assert found['commands'].keys() == found.keys() - {'config', 'machine', 'commands'}
    assert [row['side'] for row in found['steps']] == ['plain', 'ours']
    for row in found['steps']:
        assert row['seconds'].keys() == PHASES
        assert row['batch'] == 2
        assert_spread(row['seconds']['total'])
    for row in found['memory']:
        assert row['peak_bytes'] > 0
    for row in found['parts']:
        assert len(row['seconds']) == 6
        assert_spread(row['seconds']['student encoder'])
    for side in ('plain', 'ours'):
        assert_spread(found['data'][side])
    for row in found['training']:
        assert row['images_per_s'] > 0
        assert 0 <= row['waiting'] < 1
    (source,) = found['reading']
    assert source['images'] == 8
    assert_spread(source['images_per_s'])
    assert len(source['private_mib']) == 2

    page = tmp_path / 'performance.md'
    page.write_text('# Speed\n\nText.\n\n## Results\n\nold\n')
    assert run('--render', page, results)[0] == 0
    text = page.read_text()
    assert text.startswith('# Speed\n\nText.\n\n## Results\n\n### tiny.py\n')
    assert 'old' not in text
    assert found['machine'] in text
    assert f'    python {TOOL} {TINY}' in text
    median, low, high = found['steps'][1]['seconds']['total']
    assert f'| ours | fp32 | 2 | {median:.3f} ({low:.3f}–{high:.3f}) |' in text
    assert run('--render', results, page)[0] == 2
    other = tmp_path / 'other.json'
    other.write_text(json.dumps(found | dict(matmul_flop_per_s=dict(bf16=1.0))))
    for file, message in ((other, 'steps lack matmul_flop_per_s'), (page, 'not JSON')):
        assert message in run('--render', page, file)[0]
    assert run(TINY, '--out', other, '--parts', 'reading')[0] == 2


def linear(tokens, inputs, outputs):
    return 2 * tokens * inputs * outputs


def block(tokens, channels):
    return linear(tokens, channels, 12 * channels) + 4 * tokens**2 * channels


def embed(patches):
    return linear(patches, 3 * 16**2, 24)


def look(patches):
    projector = linear(1, 24, 32) + linear(1, 32, 32 + 16) + linear(1, 16, 64)
    return embed(patches) + 4 * block(patches + 1, 24) + projector


def search(patches, scene=12):
    query = linear(patches + 1, 24, 32) + block(patches + 1, 32)
    cross = linear(1, 32, (1 + 1 + 8) * 32) + linear(scene, 32, 2 * 32) + 4 * scene * 32
    kernel = linear(1, 32, 32) + linear(scene, 32, 1)
    return query + linear(scene, 24, 32) + cross + kernel


def test_floating_point_operations(results):
    """By hand: globals of 8 patches, scene of 12, csr of 10, other views of 2."""
    views, teacher = 2 * look(8) + 4 * look(2), 2 * look(8)
    scene = embed(12) + 2 * block(13, 24)
    maps = 2 * 2 * 2 * linear(9, 24, 9)  # networks, views, kinds
    masked = embed(10) + 2 * block(3, 24) + linear(4, 24, 32)
    decoder = 2 * block(12, 32) + linear(10, 32, 3 * 16**2)
    branch = linear(12, 24, 32) + 3 * linear(12, 9 * 32, 32)
    student = views + masked + decoder + branch + search(8) + search(2)
    found = json.loads(results.read_text())['flop_per_image']
    assert found['forward'] == student + teacher + scene + maps
    # Two products per product, but one where the input needs no gradient.
    assert student < found['backward'] < 2 * (student + maps / 2)
    assert found['total'] == found['forward'] + found['backward']


def test_bytes_all_reduced(results):
    model = MODELS.build(Config.fromfile(TINY).model)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    found = json.loads(results.read_text())['allreduce']
    assert found == dict(gradients=4 * trained, center=4 * 64)


def test_the_plain_pipeline_makes_the_same_views(tmp_path):
    paths = draw_files(tmp_path, 4, (256, 128))
    draw = DrawViews()
    images = PersonImages(str(tmp_path), pipeline=[draw, dict(type='ApplyViews')])
    for index in range(len(paths)):
        plain = plain_views.sample(paths, index, draw.transform)
        ours = images[index]['inputs']
        assert ours.keys() == plain.keys()
        for name, view in ours.items():
            difference = np.abs(view.numpy().astype(float) - plain[name].numpy())
            assert difference.mean() < 2, name


def test_few_measured_batches_were_made_before(run, tmp_path, monkeypatch):
    def measure(loader, step):
        made = loader.num_workers * loader.prefetch_factor
        return dict(images_per_s=1.0, waiting=0.0, share=made / len(loader))

    monkeypatch.setattr(loading, 'measure_training', measure)
    options = ['--rounds', '5', '--workers', '3', '--precision', 'fp32']
    out = tmp_path / 'out.json'
    assert run(TINY, '--out', out, '--parts', 'training', *options)[0] == 0
    (row,) = json.loads(out.read_text())['training']
    assert row['share'] < 1 / 5


@pytest.mark.parametrize('heads', [[], ['matching', 'reconstruction', 'search']])
def test_a_teacher_is_asked_or_its_outputs_are_read(heads, run, tmp_path, monkeypatch):
    """By SAIP*, and by plain distillation, without the heads of SAIP."""
    look, passes = DistillationTeacher._look, []

    def counted(self, images, **options):
        passes.append(self.cache is not None)
        return look(self, images, **options)

    monkeypatch.setattr(DistillationTeacher, '_look', counted)
    teacher = write_teacher(tmp_path / 'teacher.pth')
    options = ['--parts', 'steps', 'parts', 'allreduce', '--rounds', '3']
    options += ['--precision', 'fp32']
    options += ['--cfg-options', f'model.distillation.teacher.checkpoint={teacher}']
    options += [f'model.{head}=None' for head in heads]
    options += [f'find_unused_parameters={bool(heads)}']
    assert run(STAR, '--out', tmp_path / 'out.json', *options)[0] == 0
    found = json.loads((tmp_path / 'out.json').read_text())
    assert [row['side'] for row in found['steps']] == ['ours', 'cached']
    assert sorted(passes) == [False] * (4 + 4 + 1) + [True]  # with a warm-up
    assert 'distillation teacher' in found['parts'][0]['seconds']
    assert found['allreduce']['gradients'] > 0


def test_another_backbone_is_measured_alone(run, tmp_path):
    out, page = tmp_path / 'out.json', tmp_path / 'page.md'
    parts = ['flop_per_image', 'matmul_flop_per_s', 'steps']
    options = ['--parts', *parts, '--rounds', '1', '--precision', 'fp32']
    assert run(TINYVIT, '--out', out, *options)[0] == 0
    assert run('--render', page, out)[0] == 0
    (row,) = (x for x in page.read_text().splitlines() if x.startswith('| ours'))
    assert row.split(' | ')[-3:-1] == ['–', '–']
    content = json.loads(out.read_text())
    del content['flop_per_image']
    out.write_text(json.dumps(content))
    assert 'measure with --parts flop_per_image' in run('--render', page, out)[0]


@pytest.mark.parametrize(
    'arguments, message',
    [
        ([TINY], 'give one config and --out FILE'),
        ([TINY, '--out', 'OUT', '--rounds', '0'], 'should be at least 1'),
        (['missing.py', '--out', 'OUT'], 'missing.py: no such config file'),
        (
            [TINY, '--out', 'OUT', '--cfg-options', 'model.matching=None'],
            'tiny.py: steps are measured of a SAIP with its three heads',
        ),
        (['--render', 'out.md', 'missing.json'], 'missing.json'),
    ],
)
def test_errors(arguments, message, run, tmp_path):
    out = tmp_path / 'out'
    status, text = run(*(out if each == 'OUT' else each for each in arguments))
    assert status != 0
    assert message in f'{status} {text}'
    assert not out.exists()


def test_results_of_another_config_are_kept(results, run, tmp_path):
    other = tmp_path / 'other.json'
    content = results.read_text().replace('tiny.py', 'other.py', 1)
    other.write_text(content)
    status, _ = run(TINY, '--out', other)
    assert 'has results of other.py, this is tiny.py: choose another file' in status
    assert other.read_text() == content
