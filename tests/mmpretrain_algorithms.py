"""Train a step of each self-supervised algorithm of MMPretrain on drawn people.

    python tests/mmpretrain_algorithms.py          # prints a Markdown table
    python tests/mmpretrain_algorithms.py beit     # one algorithm; errors go to stderr

Takes MMPretrain's own configs with the data, loader, loop and guards of this project.
Weights that a config would download are left out and listed.
"""

import multiprocessing
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

import mmpretrain
from mmengine.config import Config
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

import saip_mm  # noqa: F401  (register)
from saip_mm.training import SafeRunner

CONFIGS = Path(mmpretrain.__file__).parent / '.mim/configs'
CONFIG_OF = dict(
    barlowtwins='barlowtwins_resnet50_8xb256-coslr-300e_in1k',
    beit='beit_beit-base-p16_8xb256-amp-coslr-300e_in1k',
    beitv2='beitv2_beit-base-p16_8xb256-amp-coslr-300e_in1k',
    byol='byol_resnet50_16xb256-coslr-200e_in1k',
    cae='cae_beit-base-p16_8xb256-amp-coslr-300e_in1k',
    densecl='densecl_resnet50_8xb32-coslr-200e_in1k',
    eva='eva-mae-style_vit-base-p16_16xb256-coslr-400e_in1k',
    itpn='itpn-pixel_hivit-base-p16_8xb512-amp-coslr-400e_in1k',
    mae='mae_vit-base-p16_8xb512-amp-coslr-300e_in1k',
    maskfeat='maskfeat_vit-base-p16_8xb256-amp-coslr-300e_in1k',
    mff='mff_vit-base-p16_8xb512-amp-coslr-300e_in1k',
    milan='milan_vit-base-p16_16xb256-amp-coslr-400e_in1k',
    mixmim='mixmim_mixmim-base_16xb128-coslr-300e_in1k',
    mocov2='mocov2_resnet50_8xb32-coslr-200e_in1k',
    mocov3='mocov3_vit-small-p16_16xb256-amp-coslr-300e_in1k',
    simclr='simclr_resnet50_8xb32-coslr-200e_in1k',
    simmim='simmim_swin-base-w6_8xb256-amp-coslr-100e_in1k-192px',
    simsiam='simsiam_resnet50_8xb32-coslr-100e_in1k',
    spark='spark_sparse-resnet50_8xb512-amp-coslr-800e_in1k',
    swav='swav_resnet50_8xb32-mcrop-coslr-200e_in1k-224px-96px',
)


@HOOKS.register_module()
class KeepLosses(Hook):
    """Keeps the name of the algorithm and the losses of its last step."""

    name, losses = '', {}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        KeepLosses.name = type(runner.model).__name__
        KeepLosses.losses = {n: float(x) for n, x in outputs.items() if 'loss' in n}


def leave_out_downloads(config: dict | list) -> Iterator[str]:
    """Remove weights behind an address; yields the types of their owners."""
    values = config.values() if isinstance(config, dict) else config
    for value in list(values):
        if isinstance(value, dict | list):
            yield from leave_out_downloads(value)
    if isinstance(config, dict) and 'http' in str(config.get('init_cfg') or ''):
        config['init_cfg'] = None
        yield config['type']


def config_of(name: str, work_dir: str) -> Config:
    """MMPretrain's config on drawn people, with a single step."""
    cfg = Config.fromfile(CONFIGS / name / f'{CONFIG_OF[name]}.py')
    pipeline = cfg.train_dataloader.dataset.pipeline
    cfg.train_dataloader = dict(
        batch_size=2,
        sampler=dict(type='StatelessSampler'),
        collate_fn=cfg.train_dataloader.get('collate_fn', dict(type='default_collate')),
        num_workers=0,
        dataset=dict(
            type='SyntheticPeople',
            num_identities=1,
            images_per_identity=2,
            pipeline=[dict(type='LoadPersonImage'), *pipeline[1:]],
        ),
    )
    cfg.train_cfg = dict(type='AccumulatingTrainLoop', max_epochs=1)
    cfg.optim_wrapper.pop('loss_scale', None)
    cfg.optim_wrapper.type = 'OptimWrapper'  # mixed precision needs a GPU
    cfg.default_hooks.checkpoint = dict(
        type='SafeCheckpointHook', interval=-1, save_last=False
    )
    cfg.default_hooks.quarantine = dict(type='QuarantineHook')
    cfg.default_hooks.finite = dict(type='FiniteGuard')
    cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='KeepLosses')]
    cfg.randomness = dict(seed=0)
    cfg.resume, cfg.work_dir, cfg.log_level = False, work_dir, 'ERROR'
    return cfg


def row(name: str) -> str:
    """Train a step; returns a row of the table."""
    kind, needed = name, []
    with tempfile.TemporaryDirectory() as work_dir:
        cfg = config_of(name, work_dir)
        needed = dict.fromkeys(leave_out_downloads(cfg.model))
        try:
            SafeRunner.from_cfg(cfg).train()
            kind = KeepLosses.name
            losses = KeepLosses.losses.items()
            outcome = 'yes: ' + ', '.join(f'{n} {x:.3g}' for n, x in losses)
        except Exception as error:
            traceback.print_exc()
            outcome = f'no: {type(error).__name__}: {error}'[:200]
    return f'| {kind} | `{CONFIG_OF[name]}` | {outcome} | {", ".join(needed) or "–"} |'


def main() -> None:
    print('| algorithm | config | trains a step | needs weights of |')
    print('| --- | --- | --- | --- |', flush=True)
    # A process each, as some need gigabytes.
    with multiprocessing.get_context('fork').Pool(1, maxtasksperchild=1) as pool:
        for line in pool.imap(row, sys.argv[1:] or CONFIG_OF, chunksize=1):
            print(line, flush=True)


if __name__ == '__main__':
    main()
