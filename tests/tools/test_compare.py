"""tools/compare.py: runs that are started, resumed or skipped, and its table."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from launch import ROOT, TINY, Script, call
from mmengine.config import Config
from people_files import write_pair

from saip_mm.checkpoints.files import read_checkpoint
from saip_mm.evaluation import compute, runs
from saip_mm.evaluation.compute import Cost
from saip_mm.evaluation.table import markdown
from saip_mm.files import write_text

TOOL = 'tools/compare.py'
PROBE, TRAIN = runs.probe, runs.train
FACTS = dict(images_seen=0, seconds=90.0, environment=dict(revision='a'))


@pytest.fixture(autouse=True)
def probed(monkeypatch) -> list[str]:
    """Replaces the probes; lists the probed runs."""
    names = []

    def probe(run) -> dict[str, float]:
        names.append(str(run))
        figures = {'reid/mAP': 0.5, 'search/gain': 0.25}
        return {name: figures[name] / (1 + run.seed) for name in figures}

    monkeypatch.setattr(runs, 'probe', probe)
    monkeypatch.setattr(runs, 'cost_of', lambda config: Cost(100.0, 24))
    return names


@pytest.fixture
def trained(monkeypatch) -> list[str]:
    """Replaces training; lists the trained runs."""
    names = []
    monkeypatch.setattr(runs, 'train', lambda run, **_: names.append(str(run)))
    monkeypatch.setattr(runs, 'facts', lambda run: dict(FACTS))
    return names


def result(work_dir: Path, run: str) -> dict:
    return json.loads((work_dir / run / 'result.json').read_text())


def test_a_killed_training_is_resumed(forked, tmp_path, probed, capsys):
    arguments = ['tests/configs/tiny.py', '--work-dir', str(tmp_path), '--seeds', '3']
    process = Script(TOOL, *arguments)
    run = tmp_path / 'tiny/seed3'
    while not (run / 'last_checkpoint').exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGSTOP)
    assert call(TOOL, *arguments) == 0
    assert 'skipped: another command is at work on this run' in capsys.readouterr().out
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (run / 'epoch_2.pth').exists() and not (run / 'result.json').exists()

    assert call(TOOL, *arguments) == 0
    assert 'resumed epoch: 1, iter: 3' in (run / 'run.log').read_text()
    assert read_checkpoint(run / 'epoch_2.pth')['meta']['seed'] == 3
    found = result(tmp_path, 'tiny/seed3')
    assert found['images_seen'] == 6 * 8 and found['seed'] == 3
    assert found['seconds'] > 0 and found['probes']['reid/mAP'] == 0.125
    assert probed == ['tiny seed 3']
    assert '| tiny | 1 | 0.125 | 0.062 | 48 | 4.8e+03 |' in capsys.readouterr().out

    call(TOOL, *arguments)
    assert probed == ['tiny seed 3']


def test_a_failed_run_does_not_stop_others(forked, tmp_path, capsys):
    config = (
        f'_base_ = {str(TINY)!r}\n'
        'optim_wrapper = dict(optimizer=dict(lr=1e30))\n'
        'default_hooks = dict(finite=dict(max_in_row=2))\n'
    )
    (tmp_path / 'bad.py').write_text(config)
    assert call(TOOL, tmp_path / 'bad.py', 'random', '--work-dir', tmp_path) == 1
    printed = capsys.readouterr()
    log = tmp_path / 'bad/seed0/run.log'
    assert f'see {log}' in printed.err and 'were not finite' in printed.err
    assert 'were not finite' in log.read_text()
    assert '| bad | 0 of 1 | – | – | – | – | – |' in printed.out
    assert '| random | 1 | 0.500 | 0.250 | 0 | 0.0e+00 | 0.0 |' in printed.out


def test_a_failed_probe_keeps_the_training(tmp_path, monkeypatch, trained, capsys):
    def fail(run):
        raise ArithmeticError('no people')

    monkeypatch.setattr(runs, 'probe', fail)
    assert call(TOOL, TINY, '--work-dir', tmp_path) == 1
    assert 'probing failed (no people)' in capsys.readouterr().err
    log = tmp_path / 'tiny/seed0/run.log'
    assert 'ArithmeticError: no people' in log.read_text()
    assert not (tmp_path / 'tiny/seed0/result.json').exists()
    monkeypatch.setattr(runs, 'probe', lambda run: {'a': 1.0, 'b': float('nan')})
    assert call(TOOL, TINY, '--work-dir', tmp_path) == 0
    assert result(tmp_path, 'tiny/seed0')['probes'] == {'a': 1.0}
    assert 'omitted, not finite: b' in log.read_text()


def test_every_seed_of_every_row_is_run_once(tmp_path, trained, probed):
    arguments = ['pixels', 'random', TINY, '--work-dir', tmp_path, '--seeds', 0, 1]
    assert call(TOOL, *arguments) == 0
    expected = ['pixels seed 0', 'random seed 0', 'tiny seed 0']
    expected += ['random seed 1', 'tiny seed 1']
    assert probed == expected
    assert trained == ['tiny seed 0', 'tiny seed 1']
    assert call(TOOL, *arguments, 2) == 0
    assert probed == [*expected, 'random seed 2', 'tiny seed 2']


def test_another_command_finishes_a_run_meanwhile(tmp_path, monkeypatch):
    arguments = ['--random-of', TINY, '--work-dir', tmp_path]
    assert call(TOOL, 'pixels', 'histogram', *arguments) == 0
    finished = tmp_path / 'histogram/seed0/result.json'
    content = finished.read_text()
    finished.unlink()

    def write_late(path, text):
        finished.write_text(content)
        write_text(path, text)

    monkeypatch.setattr('saip_mm.files.write_text', write_late)
    assert call(TOOL, 'pixels', *arguments) == 0
    rows = json.loads((tmp_path / 'results.json').read_text())
    assert {row['row']: row['n'] for row in rows} == {'pixels': 1, 'histogram': 1}
    assert '| histogram | 1 |' in (tmp_path / 'table.md').read_text()


def test_photographs_are_probed_and_part_of_the_config(tmp_path, monkeypatch):
    own, weights = write_pair(tmp_path / 'own'), []

    def run_probes(subject):
        if subject.model:
            weights.append(subject.features.backbone.pos_embed[0, 1, 0].item())
        return {'reid/mAP': 0.5}

    monkeypatch.setattr(runs, 'probe', PROBE)
    monkeypatch.setattr(runs, 'run_probes', run_probes)
    arguments = [TOOL, 'pixels', 'random', '--random-of', TINY, '--work-dir', tmp_path]
    assert call(*arguments, '--reid', own, '--seeds', 0, 1) == 0
    expected = {'reid/mAP': 0.5, 'own/mAP': 1.0, 'own/rank1': 1.0}
    for run in ('pixels/seed0', 'random/seed0', 'random/seed1'):
        assert result(tmp_path, run)['probes'] == expected
    assert len(set(weights)) == 2, 'one initialization per seed'
    with pytest.raises(ValueError, match='probed_people'):
        call(*arguments)


def test_a_changed_config_is_rejected(tmp_path, trained):
    arguments = [TOOL, 'random', TINY, '--work-dir', tmp_path]
    assert call(*arguments) == 0
    option = 'train_dataloader.batch_size=4'
    changed = r'(?s)random was started with another config.*-.*batch_size=8.*\+.*=4'
    for more in ([], ['--seeds', 1]):
        with pytest.raises(ValueError, match=changed):
            call(*arguments, *more, '--cfg-options', option)
    assert trained == ['tiny seed 0']


@pytest.mark.parametrize('unit, expected', [('images', 4), ('flops', 9)])
def test_trainings_of_equal_cost(unit, expected, tmp_path, trained, monkeypatch):
    def cost_of(config) -> Cost:
        return Cost(40.0, 12) if config.model.search is None else Cost(90.0, 24)

    monkeypatch.setattr(compute, 'cost_of', cost_of)
    cheap = tmp_path / 'cheap.py'
    cheap.write_text(f'_base_ = {str(TINY)!r}\nmodel = dict(search=None)\n')
    arguments = [TOOL, 'histogram', TINY, cheap, '--work-dir', tmp_path]
    assert call(*arguments, '--equal', unit) == 0
    configs = [Config.fromfile(tmp_path / f'{x}/config.py') for x in ('tiny', 'cheap')]
    assert [config.train_cfg.max_epochs for config in configs] == [2, expected]
    assert configs[1].param_scheduler[1].end == 6 * expected / 2


def test_trainings_of_other_lengths(tmp_path, trained):
    arguments = [TOOL, 'random', TINY, '--work-dir', tmp_path]
    assert call(*arguments, '--epochs', 6) == 0
    config = Config.fromfile(tmp_path / 'tiny/config.py')
    assert config.train_cfg.max_epochs == 6
    assert config.param_scheduler[1].end == 6 * 6 / 2


def test_a_comparison_out_of_time_saves_and_can_be_rerun(tmp_path, capsys, monkeypatch):
    class Impatient(subprocess.Popen):
        """Its time is over once the training has begun."""

        def wait(self, timeout: float | None = None) -> int:
            if timeout is None:
                return super().wait()
            assert 0 < timeout <= 0.3 * 60
            while not list(tmp_path.glob('tiny/seed0/*/vis_data/scalars.json')):
                assert self.poll() is None
                time.sleep(0.01)
            raise subprocess.TimeoutExpired(self.args, timeout)

    monkeypatch.setattr(runs.subprocess, 'Popen', Impatient)
    arguments = [TOOL, 'random', TINY, '--work-dir', tmp_path]
    options = ['--cfg-options', 'train_cfg.max_epochs=1000']
    status = call(*arguments, '--max-minutes', 0.3, *options)
    assert status == os.EX_TEMPFAIL
    assert 'tiny seed 0 was saved); rerun to continue' in capsys.readouterr().out
    assert list((tmp_path / 'tiny/seed0').glob('epoch_*.pth'))
    assert result(tmp_path, 'random/seed0') and (tmp_path / 'table.md').exists()


def test_the_table_agrees_with_numpy(tmp_path, trained, capsys):
    call(TOOL, 'histogram', 'random', TINY, '--work-dir', tmp_path, '--seeds', 0, 1, 2)
    rng = np.random.default_rng(0)
    values = rng.random(3)
    for seed, value in enumerate(values):
        file = tmp_path / f'tiny/seed{seed}/result.json'
        content = json.loads(file.read_text())
        probes = {'reid/mAP': value} | ({'parts/mIoU': 0.5} if seed == 1 else {})
        file.write_text(json.dumps(content | dict(probes=probes, seconds=60 * seed)))
    (tmp_path / 'random/seed2/result.json').unlink()
    capsys.readouterr()
    assert call(TOOL, '--table', '--work-dir', tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = {row.split(' | ')[0]: row.split(' | ')[1:] for row in lines}
    header = ['n', 'reid/mAP', 'search/gain', 'parts/mIoU', 'images seen', 'FLOPs']
    assert cells['| row'] == [*header, 'minutes |']
    assert cells['| tiny'] == [
        '3',
        f'{values.mean():.3f} ± {values.std(ddof=1):.3f}',
        '–',
        '0.500 (n=1)',
        '0',
        '0.0e+00',
        '1.0 |',
    ]
    spread = np.std([0.5, 0.25], ddof=1)
    assert cells['| random'][:2] == ['2 of 3', f'0.375 ± {spread:.3f}']
    assert cells['| histogram'][:2] == ['1', '0.500']
    rows = json.loads((tmp_path / 'results.json').read_text())
    (tiny,) = (row for row in rows if row['row'] == 'tiny')
    found, values = tiny['probes']['reid/mAP'], [1 / 2, 1 / 4, 1 / 6]  # when run
    assert found['values'] == pytest.approx(values)
    assert found['seeds'] == [0, 1, 2]
    spread = np.std(values, ddof=1)
    assert (found['mean'], found['std']) == pytest.approx((np.mean(values), spread))
    (tmp_path / 'tiny/seed0/result.json').write_text('{"probes"')
    with pytest.raises(ValueError, match='seed0/result.json is not a result'):
        call(TOOL, '--table', '--work-dir', tmp_path)


def test_scripts_of_an_installed_package(tmp_path, monkeypatch):
    tools = tmp_path / 'saip_mm/.mim/tools'
    tools.mkdir(parents=True)
    (tools / 'greet.py').write_text('print("hello")')
    monkeypatch.setattr(runs, '__file__', str(tmp_path / 'saip_mm/evaluation/runs.py'))
    run = runs.Run(tmp_path / 'row', Config(), seed=0)
    run.prepare()
    runs.run_tool('greet', run, [])
    assert run.log.read_text() == 'hello\n'


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['random'], 'name its config with --random-of'),
        (['--table'], 'has no runs; correct --work-dir'),
        ([TINY, TINY], 'two rows are called tiny'),
        (['none.py'], 'none.py'),
        ([TINY, '--cfg-options', 'modle=1'], "unknown setting 'modle'"),
        ([TINY, '--fine-tune', TINY], 'no weights to replace'),
    ],
)
def test_bad_arguments(arguments, message, tmp_path):
    with pytest.raises((OSError, ValueError, KeyError), match=message):
        call(TOOL, *arguments, '--work-dir', tmp_path)


def test_the_documented_table_matches_the_saved_results():
    results = json.loads((ROOT / 'docs/comparison.json').read_text())
    in_table = [row for row in results if not re.search(r'_[01]\.\d+$', row['row'])]
    assert len(in_table) == 8
    assert markdown(in_table).strip() in (ROOT / 'docs/comparison.md').read_text()
