"""Test a model: `python tools/test.py CONFIG CHECKPOINT`.

Configs may be of any of OpenMMLab's libraries. The figures are printed, and written to
a folder with the time as its name in the work directory.
"""
# ruff: noqa: E402

import os
import signal

# Before the slow imports; background jobs ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

import argparse
from pathlib import Path

from mmengine.config import Config

from saip_mm.checkpoints.checkpoint import resolve_checkpoint
from saip_mm.errors import one_line_errors
from saip_mm.training import SafeRunner, add_launcher, ending_together, set_launcher
from saip_mm.training.config import add_options, load_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint, or work directory')
    parser.add_argument(
        '--work-dir', help='where figures and logs go; default work_dirs/CONFIG'
    )
    add_options(parser)
    parser.add_argument(
        '--tta',
        action='store_true',
        help='test with several views of every image, by the `tta_model` and '
        '`tta_pipeline` of the config',
    )
    add_launcher(parser)
    return parser.parse_args()


def configure(args: argparse.Namespace) -> Config:
    """The config with what the command line says."""
    cfg = load_config(args.config, args.cfg_options)
    if cfg.get('test_dataloader') is None:
        raise ValueError(
            f'{args.config} has no test_dataloader, so there is nothing to test with'
        )
    cfg.load_from = str(resolve_checkpoint(args.checkpoint))
    # The model is loaded whole: what it would be initialised from need not be there.
    if 'backbone' in cfg.model:
        cfg.model.backbone.init_cfg = None
    if args.tta:
        view_several_times(args.config, cfg)
    if args.work_dir:
        cfg.work_dir = args.work_dir
    elif 'work_dir' not in cfg:
        cfg.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    set_launcher(cfg, args)
    return cfg


def view_several_times(path: str, cfg: Config) -> None:
    """Let ``cfg`` test with several views of every image."""
    for name in ('tta_model', 'tta_pipeline'):
        if name not in cfg:
            raise ValueError(f'{path} has no {name}, which --tta needs')
    cfg.model = dict(cfg.tta_model, module=cfg.model)
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline


def main() -> None:
    # Checkpoints hold tensors and plain data; nothing else in a file is to be run.
    os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'
    args = parse_args()
    with one_line_errors():
        cfg = configure(args)
        with ending_together():
            SafeRunner.from_cfg(cfg).test()


if __name__ == '__main__':
    main()
