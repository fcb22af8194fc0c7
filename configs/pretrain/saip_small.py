"""A small SAIP for comparisons: most of an hour on one CPU core.

    python tools/compare.py random pixels histogram mean-colour \\
        configs/pretrain/saip_small.py configs/pretrain/ablations/*.py --seeds 0 1 2

The model of saip_demo.py, trained ten times as long on more people.
"""

_base_ = ['saip_demo.py']

max_epochs = 20

train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(num_identities=2000, images_per_identity=3),
)
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(max_keep_ckpts=1),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, end=1, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=1,
        end=max_epochs,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(type='AccumulatingTrainLoop', max_epochs=max_epochs)
