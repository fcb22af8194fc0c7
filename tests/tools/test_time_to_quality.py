"""tools/time_to_quality.py on a written log of two starts."""

import json

import pytest

TOOL = 'tools/time_to_quality.py'


@pytest.fixture
def work_dir(tmp_path):
    """20 steps of 1 s, then, after a resume at step 10, of 3 s; probes at 0, 10, 20
    and, after the last log, 22."""
    starts = dict(
        first=[(0, 0.1, None), (5, None, 1.0), (10, 0.3, 1.0), (15, None, 1.0)],
        second=[(15, None, 3.0), (20, 0.6, 3.0), (22, 0.9, None)],
    )
    for name, records in starts.items():
        folder = tmp_path / name / 'vis_data'
        folder.mkdir(parents=True)
        (folder / 'config.py').write_text('train_dataloader = dict(batch_size=8)')
        lines = []
        for step, score, seconds in records:
            if score is not None:
                lines.append({'probe/reid/mAP': score, 'step': step})
            if seconds is not None:
                lines.append(dict(time=seconds, step=step))
        (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, lines)))
    return tmp_path


def test_steps_images_and_minutes(run, work_dir):
    status, printed = run(work_dir, '--reach', 'reid/mAP=0.3', 'reid/mAP=0.5')
    assert status == 0
    assert f'| {work_dir.name} | reid/mAP ≥ 0.3 | 10 | 80 | 0.2 |' in printed
    minutes = (10 * 1 + 10 * 3) / 60
    assert f'| reid/mAP ≥ 0.5 | 20 | 160 | {minutes:.1f} |' in printed
    printed = run(work_dir, '--reach', 'reid/mAP=0.8')[1]
    assert f'| 22 | 176 | {minutes + 2 * 3 / 60:.1f} |' in printed


def test_what_is_not_reached_or_probed(run, work_dir):
    printed = run(work_dir, '--reach', 'reid/mAP=1')[1]
    assert '| not reached | 0.900 at best |' in printed
    status, _ = run(work_dir, '--reach', 'reid/map=0.7')
    assert 'reid/map was not probed; its log has reid/mAP' in status
    assert run(work_dir, '--reach', 'reid/mAP=much')[0] == 2
