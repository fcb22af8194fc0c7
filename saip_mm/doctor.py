"""Checks machine, data and config for common problems before training.

    python -m saip_mm.doctor [CONFIG, or a folder, list or shards of images]

Prints one finding per line (ok, warn or fail) with a remedy; the exit status is 1 if
anything fails. Warnings that training itself logs at its start are not repeated.
"""

import logging
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from .errors import script_parser
from .processes import usable_cores

OK, WARN, FAIL = 'ok', 'warn', 'fail'
GIB = 2**30
TESTED = (2, 11)  # the oldest PyTorch of the extra `pretrain`
# Since these releases, forked processes no longer hang (CPython issue 112275).
SAFE_FORKS = {(3, 10): (3, 10, 15), (3, 11): (3, 11, 10)}


class Finding(NamedTuple):
    """One line of the report."""

    level: str
    text: str
    remedy: str = ''


def python() -> Iterator[Finding]:
    """The release of Python."""
    release = sys.version_info[:3]
    since = SAFE_FORKS.get(release[:2], release)
    if release >= since:
        yield Finding(OK, f'Python {platform.python_version()}')
    else:
        yield Finding(
            WARN,
            f'Python {platform.python_version()}: a data-loader worker, and with it '
            'the training, can hang at its start (rare; CPython issue 112275)',
            f'use {".".join(map(str, since))} or later',
        )


def packages() -> Iterator[Finding]:
    """Installed libraries, and MMCV's operators, which MMDetection and MMPose need."""
    import mmengine
    import mmpretrain
    import torch

    # Importing saip_mm itself only warns if these fail.
    from . import apis, data, evaluation, models, training  # noqa: F401

    modules = torch, mmengine, mmpretrain
    yield Finding(OK, ', '.join(f'{m.__name__} {m.__version__}' for m in modules))
    if torch.__version__ < TESTED:
        yield Finding(
            WARN,
            f'PyTorch {torch.__version__} is older than '
            f'{".".join(map(str, TESTED))}, the oldest tested with all tools',
            'docs/verification.md says what was tried with older ones',
        )
    if find_spec('mmcv') is None or find_spec('mmcv._ext') is None:
        yield Finding(
            WARN,
            'MMCV has no compiled operators (pretraining does not need them)',
            'in a clone, tools/install.sh complete, for MMDetection and MMPose',
        )


def devices() -> Iterator[Finding]:
    """GPUs and their precisions."""
    import torch

    if not torch.cuda.is_available():
        yield Finding(
            WARN,
            f'no GPU that torch {torch.__version__} can use; {usable_cores()} cores',
            'CPUs suffice for a trial; to use a GPU, compare the CUDA version of torch '
            'with the one that the driver supports (nvidia-smi)',
        )
    for index in range(torch.cuda.device_count()):
        name = torch.cuda.get_device_name(index)
        memory = torch.cuda.get_device_properties(index).total_memory / GIB
        yield Finding(OK, f'GPU {index}: {name}, {memory:.0f} GiB')
        with torch.cuda.device(index):
            has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
        if not has_bfloat16:
            remedy = "set optim_wrapper.type='AmpOptimWrapper' (float16)"
            yield Finding(WARN, f'GPU {index}: without bfloat16', remedy)


def storage(work_dir: Path) -> Iterator[Finding]:
    """Free space for checkpoints and in shared memory."""
    folder = next(each for each in (work_dir, *work_dir.parents) if each.is_dir())
    if not os.access(folder, os.W_OK):
        remedy = 'choose another --work-dir, for the doctor and for training'
        yield Finding(FAIL, f'{folder} is not writable', remedy)
    free = shutil.disk_usage(folder).free / GIB
    yield Finding(
        OK if free > 20 else WARN if free > 5 else FAIL,
        f'{free:.0f} GiB free for {work_dir}',
        '' if free > 20 else 'a checkpoint of ViT-Tiny takes 1 GiB; make room',
    )
    if (shared := Path('/dev/shm')).is_dir():
        free = shutil.disk_usage(shared).free / GIB
        yield Finding(
            OK if free > 2 else WARN,
            f'{free:.1f} GiB of shared memory for data-loader workers',
            '' if free > 2 else 'use docker run --shm-size=32g, or fewer workers',
        )


def config(path: str, options: list[str]) -> Iterator[Finding]:
    """The model and the data of a config."""
    from mmengine.registry import DATASETS, MODELS, init_default_scope

    from .training.config import load_config, parse_option

    cfg = load_config(path, [parse_option(each) for each in options])
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    model = MODELS.build(cfg.model)
    model.init_weights()
    count = sum(each.numel() for each in model.parameters()) / 1e6
    yield Finding(OK, f'{path}: {type(model).__name__} of {count:.1f} M parameters')
    loading = cfg.train_dataloader
    dataset = DATASETS.build(loading.dataset)
    yield from _samples(dataset)
    size = loading.get('batch_size', 1)
    if loading.get('drop_last') and len(dataset) < size:
        remedy = 'reduce train_dataloader.batch_size'
        yield Finding(
            FAIL, f'{len(dataset)} images do not fill a batch of {size}', remedy
        )


def images(path: str, options: Sequence[str]) -> Iterator[Finding]:
    """Images of a folder, a list or shards."""
    from .training.config import training_images

    yield from _samples(training_images(path, options))


def _samples(dataset: Sequence) -> Iterator[Finding]:
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


def main() -> int:
    parser = script_parser(__doc__)
    parser.prog = 'python -m saip_mm.doctor'
    parser.add_argument(
        'source', nargs='?', help='config; or folder or list of images, or shards'
    )
    parser.add_argument('--work-dir', type=Path, default='work_dirs')
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], help='as for tools/train.py'
    )
    args = parser.parse_args()
    checks = [(python,), (packages,), (devices,), (storage, args.work_dir.absolute())]
    if args.source:
        check = config if args.source.endswith('.py') else images
        checks.append((check, args.source, args.cfg_options))
    failed = False
    for check, *arguments in checks:
        try:
            for finding in check(*arguments):
                failed |= finding.level == FAIL
                _print(finding)
        except Exception as error:  # whatever it is, run the other checks
            failed = True
            remedy = (
                'in a clone, tools/install.sh pretrain for a new environment; pip '
                "install '.[pretrain]' also replaces upstream's MMEngine and MMCV"
            )
            if check in (config, images):
                remedy = f'correct {args.source}, or the files it names'
            reason = str(error).strip() or type(error).__name__
            _print(Finding(FAIL, f'{check.__name__}: {reason}', remedy))
    return int(failed)


def _print(finding: Finding) -> None:
    print(f'{finding.level:4}  {finding.text}')
    if finding.remedy:
        print(f'      → {finding.remedy}')


if __name__ == '__main__':
    logging.disable(logging.INFO)
    sys.exit(main())
