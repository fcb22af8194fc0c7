"""Train a model: `python tools/train.py CONFIG`.

Works with configs of all OpenMMLab libraries. For several GPUs: tools/dist_train.sh.
"""
# ruff: noqa: E402

import os
import signal

MAIN = os.getpid()


def leave(number: int, frame: object) -> None:
    """Exit before there is anything to save."""
    if os.getpid() == MAIN:
        name = signal.Signals(number).name
        os.write(2, f'stopped by {name}; rerun with --resume to continue\n'.encode())
    os._exit(75)  # EX_TEMPFAIL


# Before the slow imports; SafeCheckpointHook takes over when training begins.
for each in ('SIGTERM', 'SIGUSR1', 'SIGHUP', 'SIGINT'):
    each = getattr(signal, each, None)  # Windows lacks some
    # Background jobs ignore Ctrl-C, and nohup SIGHUP.
    if each and signal.getsignal(each) != signal.SIG_IGN:
        signal.signal(each, leave)

# Read when PyTorch is imported. By default, OpenMP threads that wait for each other
# spin so long that trainings beside other programs become several times slower.
if 'OMP_WAIT_POLICY' not in os.environ:
    os.environ.setdefault('GOMP_SPINCOUNT', '1000')

import logging

from saip_mm.errors import one_line_errors, script_parser
from saip_mm.training import SafeRunner, exit_together
from saip_mm.training.config import add_run_options, run_config


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='FILE_OR_WORK_DIR',
        help='resume from a checkpoint; without a path, from the newest one in the '
        'work directory, if any',
    )
    add_run_options(parser)
    args = parser.parse_args()
    logging.raiseExceptions = False  # else a full disk floods the terminal
    with one_line_errors():
        cfg = run_config(args)
        with exit_together():
            runner = SafeRunner.from_cfg(cfg)
            runner.resume_from(args.resume)
            runner.train()


if __name__ == '__main__':
    main()
