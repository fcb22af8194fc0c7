"""Train a model: `python tools/train.py CONFIG`, or tools/dist_train.sh for many.

Configs may be of any of OpenMMLab's libraries.
"""

import argparse
import logging
import os
import signal
from pathlib import Path

import torch
from mmengine.config import Config

from saip_mm.engine import choose_runner, ending_together, use_cpu_processes
from saip_mm.engine.config import add_options, load_config
from saip_mm.engine.saving import INTERRUPTED, STOP_SIGNALS


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
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    return parser.parse_args()


def configure(args: argparse.Namespace) -> Config:
    """The config with what the command line says."""
    cfg = load_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    if args.work_dir:
        cfg.work_dir = args.work_dir
    elif 'work_dir' not in cfg:
        cfg.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    return cfg


def main() -> None:
    # Checkpoints hold tensors and plain data; nothing else in a file is to be run.
    os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'
    logging.raiseExceptions = False  # a full disk would fill the terminal
    for number in STOP_SIGNALS:  # until there is something to save
        signal.signal(number, lambda *_: os._exit(INTERRUPTED))
    args = parse_args()
    cfg = configure(args)
    if cfg.launcher == 'pytorch' and not torch.cuda.is_available():
        use_cpu_processes(cfg)
    with ending_together():
        runner = choose_runner(cfg).from_cfg(cfg)
        runner.go_on_from(args.resume)
        runner.train()


if __name__ == '__main__':
    main()
