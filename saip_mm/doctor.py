"""Checks machine, data and config for common problems before training.

    python -m saip_mm.doctor [CONFIG, or a folder, list or shards of images]

Prints one finding per line (ok, warn or fail) with a remedy; the exit status is 1 if
anything fails.
"""

import argparse
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

OK, WARN, FAIL = 'ok', 'warn', 'fail'

GIB = 2**30


class Finding(NamedTuple):
    """One line of the report."""

    level: str
    text: str
    remedy: str = ''


def judge(good: bool, text: str, remedy: str, level: str = WARN) -> Finding:
    """A finding that is ok, or else of ``level`` with a remedy."""
    return Finding(OK, text) if good else Finding(level, text, remedy)


def packages() -> Iterator[Finding]:
    """Installed libraries, and MMCV's operators, which MMDetection and MMPose need."""
    import mmengine
    import mmpretrain
    import torch

    found = ', '.join(f'{m.__name__} {m.__version__}' for m in (torch, mmengine))
    yield Finding(OK, f'{found}, mmpretrain {mmpretrain.__version__}')
    good = find_spec('mmcv') is not None and find_spec('mmcv._ext') is not None
    text = 'MMCV has its compiled operators'
    if not good:
        text = 'MMCV has no compiled operators (pretraining does not need them)'
    yield judge(good, text, 'tools/install.sh complete, for MMDetection and MMPose')


def devices() -> Iterator[Finding]:
    """GPUs and their precisions."""
    import torch

    if not torch.cuda.is_available():
        yield Finding(
            WARN,
            f'no GPU that torch {torch.__version__} can use; {os.cpu_count()} cores',
            'CPUs suffice for a trial; to use a GPU, compare nvidia-smi with the CUDA '
            'version that the driver supports',
        )
    for index in range(torch.cuda.device_count()):
        name = torch.cuda.get_device_name(index)
        memory = torch.cuda.get_device_properties(index).total_memory / GIB
        good = torch.cuda.is_bf16_supported(including_emulation=False)
        yield judge(
            good,
            f'GPU {index}: {name}, {memory:.0f} GiB, with{"" if good else "out"} '
            'bfloat16',
            "set optim_wrapper.type='AmpOptimWrapper' (float16)",
        )


def storage(work_dir: Path) -> Iterator[Finding]:
    """Free space for checkpoints and in shared memory."""
    if work_dir.exists() and not work_dir.is_dir():
        yield Finding(FAIL, f'{work_dir} is a file', 'choose another --work-dir')
    folder = next(each for each in (work_dir, *work_dir.parents) if each.is_dir())
    if not os.access(folder, os.W_OK):
        yield Finding(FAIL, f'{folder} cannot be written', 'choose another --work-dir')
    free = shutil.disk_usage(folder).free / GIB
    yield judge(
        free > 20,
        f'{free:.0f} GiB free for {work_dir}',
        'a checkpoint of ViT-Tiny takes 1 GiB; make room',
        WARN if free > 5 else FAIL,
    )
    shared = Path('/dev/shm')
    if shared.is_dir():
        free = shutil.disk_usage(shared).free / GIB
        yield judge(
            free > 2,
            f'{free:.1f} GiB of shared memory for data-loader workers',
            'use docker run --shm-size=16g, or fewer workers',
        )


def config(path: str, options: list[str]) -> Iterator[Finding]:
    """A config's model, data, batch size, and teacher momentum."""
    import torch
    from mmengine.registry import DATASETS, HOOKS, MODELS, init_default_scope

    from .training.config import load_config, parse_option
    from .training.teacher import HIGH_SHARE, share_remedy

    cfg = load_config(path, [parse_option(each) for each in options])
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    model = MODELS.build(cfg.model)
    model.init_weights()
    count = sum(each.numel() for each in model.parameters()) / 1e6
    yield Finding(OK, f'{path}: {type(model).__name__} of {count:.1f} M parameters')
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    yield from samples(dataset)
    batch = cfg.train_dataloader.batch_size
    workers = cfg.train_dataloader.num_workers
    processes = max(1, torch.cuda.device_count())
    yield judge(
        workers * processes <= (os.cpu_count() or 1),
        f'{workers} data-loader workers for each of {processes} processes on '
        f'{os.cpu_count()} cores',
        'lower train_dataloader.num_workers',
    )
    if len(dataset) < batch * processes:
        yield Finding(
            FAIL,
            f'{len(dataset)} images do not fill {processes} batches of {batch}',
            'lower train_dataloader.batch_size',
        )
    elif hook := dict(cfg.get('default_hooks') or {}).get('saip'):
        steps = len(dataset) // processes // batch * cfg.train_cfg.max_epochs
        momentum = HOOKS.build(hook).momentum(batch * processes, steps)
        share = momentum.initial_share()
        yield judge(
            share <= HIGH_SHARE,
            f'{momentum}; {share:.1%} of its initial weights are left at the end',
            share_remedy(momentum),
        )


def images(path: str) -> Iterator[Finding]:
    """Images of a folder, a list or shards."""
    from .training.config import training_images

    yield from samples(training_images(path))


def samples(dataset: Sequence) -> Iterator[Finding]:
    """The number of images, and three of them."""
    from .data.images import ImageError

    yield Finding(OK, f'{len(dataset):,} training images')
    for index in sorted({0, len(dataset) // 2, len(dataset) - 1}):
        try:
            dataset[index]
        except ImageError as error:
            remedy = 'tools/check_data.py checks all; training skips a small share'
            yield Finding(WARN, str(error), remedy)
        else:
            yield Finding(OK, f'image {index} is usable')


def examine(check: Callable, *arguments: object) -> Iterator[Finding]:
    """Run a check; an exception is a finding as well."""
    try:
        yield from check(*arguments)
    except Exception as error:  # whatever it is, run the other checks
        reason = str(error).strip() or type(error).__name__
        remedy = 'tools/install.sh pretrain'
        if check in (config, images):
            remedy = f'correct {arguments[0]}, or the files it names'
        yield Finding(FAIL, f'{check.__name__.replace("_", " ")}: {reason}', remedy)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog='python -m saip_mm.doctor',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'source', nargs='?', help='config; or folder or list of images, or shards'
    )
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs').absolute())
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], help='as for tools/train.py'
    )
    args = parser.parse_args()
    checks = [(packages,), (devices,), (storage, args.work_dir.absolute())]
    if args.source and args.source.endswith('.py'):
        checks.append((config, args.source, args.cfg_options))
    elif args.source:
        checks.append((images, args.source))
    worst = 0
    for check in checks:
        for finding in examine(*check):
            print(f'{finding.level:4}  {finding.text}')
            if finding.remedy:
                print(f'      → {finding.remedy}')
            worst |= finding.level == FAIL
    return worst


if __name__ == '__main__':
    logging.disable(logging.WARNING)
    sys.exit(main())
