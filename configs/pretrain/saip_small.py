"""The demo's model on more people, for comparisons: about half an hour on a CPU.

    python tools/compare.py random pixels histogram mean-color \\
        configs/pretrain/saip_small.py configs/pretrain/ablations/*.py --seeds 0 1 2
"""

_base_ = ['saip_demo.py']

train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(num_identities=2000),
)

max_epochs = 12
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(max_keep_ckpts=1))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, end=1, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=1,
        end=max_epochs,
        eta_min_ratio=0.001,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(type='AccumulatingTrainLoop', max_epochs=max_epochs)
