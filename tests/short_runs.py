"""Short trainings that are compared bit for bit."""

import json
import subprocess
from pathlib import Path

import torch
from launch import ROOT, TINY, Script, call, environment

from saip_mm.checkpoints.files import read_checkpoint

KEPT = ['default_hooks.checkpoint.max_keep_ckpts=9']
EVERY_STEP = 'default_hooks.checkpoint.minutes=1e-9'


def train(
    work_dir: Path, *options: str, config: Path = TINY, resume: bool | Path = False
) -> None:
    """Train here; ``resume`` from the newest checkpoint, or from a file."""
    arguments = ['--resume', resume] if isinstance(resume, Path) else []
    arguments += ['--resume'] * (resume is True)
    options = ['--cfg-options', *KEPT, *options]
    call('tools/train.py', config, '--work-dir', work_dir, *arguments, *options)


def on_data(path: Path, dataset: str) -> Path:
    """Write a config of the tiny SAIP on another data set, given in Python."""
    path.write_text(
        f'_base_ = {str(TINY)!r}\n'
        f'train_dataloader = dict(dataset=dict(_delete_=True, {dataset},\n'
        '    pipeline={{_base_.train_dataloader.dataset.pipeline}}))\n'
    )
    return path


def started(
    work_dir: Path, *options: str, config: Path = TINY, ctrl_c: bool = True
) -> Script:
    """Start a training."""
    command = 'tools/train.py', config, '--work-dir', work_dir, *options
    return Script(*command, ctrl_c=ctrl_c, CUDA_VISIBLE_DEVICES='')


def launched(
    work_dir: Path, processes: int, *options: str, **env: str
) -> subprocess.Popen:
    """Start a training under torchrun."""
    return subprocess.Popen(
        ['bash', 'tools/dist_train.sh', TINY, str(processes), '--work-dir', work_dir]
        + ['--cfg-options', *KEPT, 'train_dataloader.batch_size=4', *options],
        cwd=ROOT,
        env=environment(CUDA_VISIBLE_DEVICES='', **env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(process: Script | subprocess.Popen, text: str) -> None:
    assert any(text in line for line in process.stdout)


def log_of(work_dir: Path) -> str:
    """The log of the only run in a work directory."""
    (file,) = work_dir.glob('*/*.log')
    return file.read_text()


def scalars_of(work_dir: Path) -> list[dict]:
    """The lines of curves of the only run in a work directory."""
    (file,) = work_dir.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in file.read_text().splitlines()]


def same(ours: object, other: object) -> bool:
    """Whether two states are equal bit for bit."""
    if isinstance(ours, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(ours, other)
    if isinstance(ours, dict):
        return ours.keys() == other.keys() and all(
            same(ours[key], other[key]) for key in ours
        )
    if isinstance(ours, list):
        return len(ours) == len(other) and all(map(same, ours, other))
    return ours == other


def assert_same_end(
    work_dir: Path, reference: Path, name: str = 'epoch_2.pth', step: int = 6
) -> None:
    ours, expected = (read_checkpoint(each / name) for each in (work_dir, reference))
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        assert same(ours[part], expected[part]), part
    assert ours['meta']['iter'] == expected['meta']['iter'] == step
    ours, expected = (state['message_hub']['log_scalars'] for state in (ours, expected))
    for metric in expected:
        if 'loss' in metric or metric.endswith(('lr', 'momentum', 'entropy')):
            assert same(ours[metric], expected[metric]), metric


def copy_state(path: Path, work_dir: Path) -> None:
    work_dir.mkdir()
    (work_dir / path.name).write_bytes(path.read_bytes())
