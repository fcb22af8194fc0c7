"""What is read from logs, whatever state they are in."""

import json
import os
import time

import pytest

from saip_mm.report.work_dir import Unavailable, WorkDir

ENVIRONMENT = """2026/01/02 03:04:05 - mmengine - INFO - \n{rule}
System environment:
    Python: 3.11.7 (main) [GCC 12.2.0]
    PyTorch compiling details: PyTorch built with:
  - GCC 13.3

    OpenCV: 4.12.0

Runtime environment:
    GPU number: 4
{rule}
""".format(rule='-' * 60)


def add_run(folder, name, losses, log='', tail=''):
    """A run that logged `{step: loss}`; `tail` ends its scalars.json."""
    scalars = folder / name / 'vis_data' / 'scalars.json'
    scalars.parent.mkdir(parents=True)
    lines = [json.dumps(dict(loss=loss, step=step)) for step, loss in losses.items()]
    scalars.write_text('\n'.join([*lines, tail]))
    (folder / name / f'{name}.log').write_text(log)
    return WorkDir(folder)


def step_line(second, epoch, iteration, per_epoch=10):
    return (
        f'2026/01/02 03:04:{second:02} - mmengine - INFO - '
        f'Epoch(train)  [{epoch}][{iteration:2}/{per_epoch}]  lr: 1e-3  loss: 1.0\n'
    )


def test_a_later_run_replaces_the_steps_that_it_repeats(tmp_path):
    add_run(tmp_path, '20260101_000000', {10: 5.0, 20: 4.0, 25: 3.5, 30: 3.0})
    work_dir = add_run(tmp_path, '20260102_000000', {20: 40.0, 40: 2.0})
    assert work_dir.series()['loss'] == [(10, 5.0), (20, 40.0), (40, 2.0)]


def test_lines_that_cannot_be_read_are_counted(tmp_path):
    tail = '{"loss": NaN, "step": 30}\n[1]\n{"step": "x"}\n{"loss": 1.5, "st'
    work_dir = add_run(tmp_path, '20260101_000000', {10: 5.0}, tail=tail)
    assert work_dir.series()['loss'] == [(10, 5.0)]
    assert work_dir.runs[0].unreadable == 3


def test_probes_lie_beside_losses(tmp_path):
    tail = '{"probe/reid/mAP": 0.25, "step": 20}'
    work_dir = add_run(tmp_path, '20260101_000000', {10: 5.0, 20: 4.0}, tail=tail)
    assert work_dir.series()['probe/reid/mAP'] == [(20, 0.25)]


def test_environment_and_processes(tmp_path):
    work_dir = add_run(tmp_path, '20260101_000000', {}, ENVIRONMENT)
    assert work_dir.environment() == {
        'Python': '3.11.7 (main) [GCC 12.2.0]',
        'OpenCV': '4.12.0',
    }
    assert work_dir.processes() == 4


def test_a_finished_run(tmp_path):
    log = step_line(1, 1, 5) + step_line(21, 2, 7)
    log += '2026/01/02 03:04:31 - mmengine - INFO - Saved run/epoch_2.pth\n'
    done = add_run(tmp_path, '20260101_000000', {5: 1.0, 17: 1.0}, log).progress(2)
    assert (done.state, done.step, done.steps, done.seconds) == ('finished', 20, 20, 30)


def test_nothing_is_left_to_do_after_a_resume(tmp_path):
    log = 'mmengine - INFO - resumed epoch: 2, iter: 20\n'
    add_run(tmp_path, '20260101_000000', {20: 1.0}, step_line(1, 2, 10))
    done = add_run(tmp_path, '20260102_000000', {}, log).progress(2)
    assert (done.state, done.step, done.steps) == ('finished', 20, 20)
    done = WorkDir(tmp_path).progress(3)
    assert (done.state, done.step, done.steps) == ('running', 20, 30)


@pytest.mark.parametrize('age, state', [(5, 'running'), (4000, 'interrupted')])
def test_a_run_is_running_while_it_writes(age, state, tmp_path):
    work_dir = add_run(tmp_path, '20260101_000000', {5: 1.0}, step_line(1, 1, 5))
    written = time.time() - age
    for file in tmp_path.rglob('*'):
        os.utime(file, (written, written))
    done = work_dir.progress(2)
    assert (done.state, done.step, done.steps) == (state, 5, 20)
    assert done.last_sign == pytest.approx(age, abs=30)


def test_a_crash(tmp_path):
    trace = 'Traceback (most recent call last):\n  File "x"\nValueError: of no use\n'
    log = step_line(1, 1, 5) + '2026/01/02 03:04:09 - mmengine - ERROR - stopped\n'
    done = add_run(tmp_path, '20260101_000000', {5: 1.0}, log + trace).progress(2)
    assert done.state == 'crashed'
    assert done.traceback == trace.strip()


def test_an_interrupt_by_hand_is_no_crash(tmp_path):
    log = step_line(1, 1, 5) + 'Traceback (most recent call last):\nKeyboardInterrupt\n'
    done = add_run(tmp_path, '20260101_000000', {5: 1.0}, log).progress(2)
    assert (done.state, done.traceback) == ('interrupted', None)


def test_a_restart_after_a_crash_is_no_crash(tmp_path):
    trace = 'Traceback (most recent call last):\nValueError: of no use\n'
    add_run(tmp_path, '20260101_000000', {5: 1.0}, trace)
    work_dir = add_run(tmp_path, '20260102_000000', {6: 1.0}, step_line(1, 1, 6))
    assert work_dir.progress(2).state == 'running'


def test_a_folder_of_something_else(tmp_path):
    (tmp_path / 'photo.jpg').touch()
    with pytest.raises(FileNotFoundError, match='neither a log .* nor a checkpoint'):
        WorkDir(tmp_path)


def test_no_config(tmp_path):
    work_dir = add_run(tmp_path, '20260101_000000', {5: 1.0})
    with pytest.raises(Unavailable, match='has no config'):
        work_dir.config()


def test_the_config_of_the_last_run(tmp_path):
    for i, name in enumerate(['20260101_000000', '20260102_000000']):
        work_dir = add_run(tmp_path, name, {5: 1.0})
        (tmp_path / name / 'vis_data' / 'config.py').write_text(f'max_epochs = {i}')
    assert work_dir.config().max_epochs == 1
