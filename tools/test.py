"""Test a model: `python tools/test.py CONFIG CHECKPOINT`.

Works with configs of all OpenMMLab libraries. Results are printed and written to a
time-stamped folder in the work directory.
"""
# ruff: noqa: E402

import os
import signal

# Before the slow imports; background jobs ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

import argparse

from mmengine.config import Config

from saip_mm.checkpoints.files import resolve_checkpoint
from saip_mm.errors import one_line_errors, script_parser
from saip_mm.training import SafeRunner, exit_together
from saip_mm.training.config import add_run_options, run_config


def configure(args: argparse.Namespace) -> Config:
    """The config, with the command line applied."""
    cfg = run_config(args)
    if cfg.get('test_dataloader') is None:
        raise ValueError(
            f'{args.config} has no test_dataloader, so there is nothing to test on'
        )
    cfg.load_from = str(resolve_checkpoint(args.checkpoint))
    if args.tta:
        for name in ('tta_model', 'tta_pipeline'):
            if cfg.get(name) is None:
                raise ValueError(f'{args.config} has no {name}, which --tta needs')
        cfg.model = dict(cfg.tta_model, module=cfg.model)
        cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    return cfg


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint or work directory')
    parser.add_argument(
        '--tta',
        action='store_true',
        help='test-time augmentation by the `tta_model` and `tta_pipeline` of the '
        'config',
    )
    add_run_options(parser)
    args = parser.parse_args()
    with one_line_errors():
        cfg = configure(args)
        with exit_together():
            SafeRunner.from_cfg(cfg).test()


if __name__ == '__main__':
    main()
