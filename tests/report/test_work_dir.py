"""What is read from work directories, whatever state they are in."""

import json
import os
import time
from datetime import datetime

import pytest

from saip_mm.report.work_dir import Unavailable, WorkDir

TRACE = 'Traceback (most recent call last):\n  File "x"\n'
FIRST, SECOND = '20260101_000000', '20260102_000000'


def add_run(folder, name, losses, log=''):
    """A run that logged `{step: loss}`, and was writing another line."""
    scalars = folder / name / 'vis_data' / 'scalars.json'
    scalars.parent.mkdir(parents=True)
    lines = [json.dumps(dict(loss=loss, step=step)) for step, loss in losses.items()]
    scalars.write_text('\n'.join([*lines, '{"loss": 1']))
    (folder / name / f'{name}.log').write_text(log)
    return WorkDir(folder)


def step_line(second, epoch, iteration):
    return (
        f'2026/01/02 03:04:{second:02} - mmengine - INFO - '
        f'Epoch(train)  [{epoch}][{iteration:2}/10]  lr: 1e-3  loss: 1.0\n'
    )


def test_a_later_run_replaces_the_steps_that_it_repeats(tmp_path):
    add_run(tmp_path, FIRST, {10: 5.0, 20: 4.0, 25: 3.5, 30: 3.0})
    work_dir = add_run(tmp_path, SECOND, {20: 40.0, 40: 2.0})
    assert work_dir.series()['loss'] == [(10, 5.0), (20, 40.0), (40, 2.0)]


def test_validations_counted_in_epochs_replace_no_steps(tmp_path):
    for run, steps in {FIRST: (1, 100, 200), SECOND: (2, 300, 400)}.items():
        validation = {'reid/mAP': 0.5, 'data_time': 0.1, 'time': 0.2, 'step': steps[0]}
        logged = [dict(loss=1.0, time=0.3, iter=step, step=step) for step in steps[1:]]
        file = tmp_path / run / 'vis_data/scalars.json'
        file.parent.mkdir(parents=True)
        file.write_text('\n'.join(map(json.dumps, [logged[0], validation, logged[1]])))
    series = WorkDir(tmp_path).series()
    assert series['loss'] == [(step, 1.0) for step in (100, 200, 300, 400)]
    assert series['time'] == [(step, 0.3) for step in (100, 200, 300, 400)]


def test_a_training_that_starts_again_replaces_the_earlier_one(tmp_path):
    log = step_line(1, 1, 5) + step_line(21, 1, 9)
    for day, step in enumerate([10, 20, 10, 30], 1):
        work_dir = add_run(tmp_path, f'2026010{day}_000000', {step: 1.0}, log)
    assert [run.name[7] for run in work_dir.runs] == ['3', '4']
    assert work_dir.progress(None).seconds == 2 * 20


def test_a_finished_run(tmp_path):
    log = step_line(1, 1, 5) + step_line(21, 2, 7)
    (tmp_path / 'epoch_2.pth').touch()
    work_dir = add_run(tmp_path, FIRST, {5: 1.0, 17: 1.0}, log)
    done = work_dir.progress(2)
    assert (done.state, done.step, done.steps) == ('finished', 20, 20)
    assert done.seconds == 20
    done = work_dir.progress(3)
    assert (done.state, done.step, done.steps) == ('running', 20, 30)


def test_a_training_measured_in_steps(tmp_path):
    (tmp_path / 'iter_20.pth').touch()
    work_dir = add_run(tmp_path, FIRST, {5: 1.0, 17: 1.0})
    done = work_dir.progress(None, 20)
    assert (done.state, done.step, done.steps) == ('finished', 20, 20)
    assert work_dir.progress(None, 30).state == 'running'


@pytest.mark.parametrize('age, state', [(5, 'running'), (4000, 'interrupted')])
def test_a_run_is_running_while_it_writes(age, state, tmp_path):
    work_dir = add_run(tmp_path, FIRST, {5: 1.0}, step_line(1, 1, 5))
    written = time.time() - age
    for file in tmp_path.rglob('*'):
        os.utime(file, (written, written))
    done = work_dir.progress(2)
    assert (done.state, done.step, done.steps) == (state, 5, 20)
    assert done.last_logged == datetime.fromtimestamp(written)


@pytest.mark.parametrize(
    'error, state, shown',
    [
        ('ValueError: of no use', 'crashed', TRACE + 'ValueError: of no use'),
        ('KeyboardInterrupt', 'interrupted', None),
    ],
)
def test_errors_and_restarts(error, state, shown, tmp_path):
    log = step_line(1, 1, 5) + f'{TRACE}{error}\n'
    done = add_run(tmp_path, FIRST, {5: 1.0}, log).progress(2)
    assert (done.state, done.traceback) == (state, shown)
    restarted = add_run(tmp_path, SECOND, {6: 1.0}, step_line(1, 1, 6))
    assert restarted.progress(2).state == 'running'


def test_a_run_stopped_by_a_signal_is_not_running(tmp_path):
    stamp, cause = '2026/01/02 03:04:02', 'stopped by SIGINT after step 6; rerun'
    log = step_line(1, 1, 5) + f'{stamp} - mmengine - WARNING - {cause}\n'
    assert add_run(tmp_path, FIRST, {5: 1.0}, log).progress(2).state == 'interrupted'
    resumed = add_run(tmp_path, SECOND, {7: 1.0}, step_line(3, 1, 7))
    assert resumed.progress(2).state == 'running'


def test_tests_and_refused_runs_are_not_the_training(tmp_path):
    logs = ['    GPU number: 2\n' + step_line(1, 1, 5) + step_line(21, 1, 9)]
    logs.append('    GPU number: 1\n' + step_line(30, 1, 9).replace('train', 'test'))
    add_run(tmp_path, FIRST, {5: 1.0}, logs[0])
    add_run(tmp_path, SECOND, {}, logs[1])
    refused = tmp_path / '20260103_000000/20260103_000000.log'
    refused.parent.mkdir()
    refused.write_text(f'    GPU number: 4\n{TRACE}ValueError: other images')
    (tmp_path / SECOND / 'vis_data/scalars.json').unlink()
    work_dir = WorkDir(tmp_path)
    assert work_dir.runs == [tmp_path / FIRST, refused.parent]
    assert work_dir.processes() == 2
    assert work_dir.progress(2).seconds == 20


def test_configs(tmp_path):
    model = "model = dict(backbone=dict(type='SAIPViT'))\n"
    model += 'train_dataloader = dict(dataset=dict())\n'
    for i, name in enumerate([FIRST, SECOND]):
        work_dir = add_run(tmp_path, name, {5: 1.0})
        if not i:
            with pytest.raises(Unavailable, match='has no config'):
                work_dir.config()
        config = tmp_path / name / 'vis_data' / 'config.py'
        config.write_text(f'{model}max_epochs = {i}')
    refused = tmp_path / '20260103_000000' / 'vis_data' / 'config.py'
    refused.parent.mkdir(parents=True)
    refused.write_text(f'{model}max_epochs = 2')
    work_dir = WorkDir(tmp_path)
    assert work_dir.config().max_epochs == 1, 'that of the last run with a step'
    for text, message in (
        ('import os', 'more than plain values .*give --config'),
        (model.replace('SAIPViT', 'os.system'), "builds 'os.system'.*give --config"),
    ):
        config.write_text(text)
        with pytest.raises(Unavailable, match=message):
            work_dir.config()
