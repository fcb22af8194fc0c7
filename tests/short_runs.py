"""Short trainings that are compared bit for bit."""

from pathlib import Path

import torch
from launch import TINY, call

from saip_mm.checkpoints.checkpoint import read_checkpoint

KEPT = ['default_hooks.checkpoint.max_keep_ckpts=9']


def train(work_dir: Path, *options: str, resume: bool = False) -> None:
    arguments = ['--resume'] if resume else []
    options = ['--cfg-options', *KEPT, *options]
    call('tools/train.py', TINY, '--work-dir', work_dir, *arguments, *options)


def same(ours: object, other: object) -> bool:
    """Whether two states agree in every bit."""
    if isinstance(ours, torch.Tensor):
        return torch.equal(ours, other)
    if isinstance(ours, dict):
        return ours.keys() == other.keys() and all(
            same(ours[key], other[key]) for key in ours
        )
    if isinstance(ours, list):
        return len(ours) == len(other) and all(map(same, ours, other))
    return ours == other


def assert_same_end(work_dir: Path, reference: Path) -> None:
    ours, expected = (
        read_checkpoint(folder / 'epoch_2.pth') for folder in (work_dir, reference)
    )
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        assert same(ours[part], expected[part]), part
    for part, state in (('ours', ours), ('expected', expected)):
        assert state['meta']['iter'] == 6, part
    ours, expected = (state['message_hub']['log_scalars'] for state in (ours, expected))
    for name in expected:
        if 'loss' in name or name.endswith(('lr', 'momentum', 'entropy')):
            assert same(ours[name], expected[name]), name


def copy_state(path: Path, work_dir: Path) -> None:
    work_dir.mkdir()
    (work_dir / path.name).write_bytes(path.read_bytes())
