"""Train a model: `python tools/train.py CONFIG`, or tools/dist_train.sh for many.

Configs may be of any of OpenMMLab's libraries.
"""
# ruff: noqa: E402

import os
import signal

MAIN = os.getpid()


def leave(number: int, frame: object) -> None:
    """End a training that has nothing to save, and workers of its loaders."""
    if os.getpid() == MAIN:
        name = signal.Signals(number).name
        message = f'stopped by {name}; rerun with --resume to continue\n'
        os.write(2, message.encode())
    os._exit(os.EX_TEMPFAIL)


# Before the slow imports; SafeCheckpointHook takes over when training begins.
for each in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
    if signal.getsignal(each) != signal.SIG_IGN:  # as background jobs do with Ctrl-C
        signal.signal(each, leave)

import argparse
import logging
from pathlib import Path

from mmengine.config import Config

from saip_mm.errors import one_line_errors
from saip_mm.training import (
    add_launcher,
    choose_runner,
    ending_together,
    set_launcher,
)
from saip_mm.training.config import add_options, load_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir', help='where logs and checkpoints go; default work_dirs/CONFIG'
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='FILE_OR_WORK_DIR',
        help='go on from a checkpoint; without a path from the latest in the work '
        'directory, or from the start where there is none',
    )
    add_options(parser)
    add_launcher(parser)
    return parser.parse_args()


def configure(args: argparse.Namespace) -> Config:
    """The config with what the command line says."""
    cfg = load_config(args.config, args.cfg_options)
    set_launcher(cfg, args)
    if args.work_dir:
        cfg.work_dir = args.work_dir
    elif 'work_dir' not in cfg:
        cfg.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    return cfg


def main() -> None:
    # Checkpoints hold tensors and plain data; nothing else in a file is to be run.
    os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'
    logging.raiseExceptions = False  # a full disk would fill the terminal
    args = parse_args()
    with one_line_errors():
        cfg = configure(args)
        with ending_together():
            runner = choose_runner(cfg).from_cfg(cfg)
            runner.resume_from(args.resume)
            runner.train()


if __name__ == '__main__':
    main()
