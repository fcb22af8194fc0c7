"""A small SAIP on drawn people for comparisons: about an hour on one CPU core.

    python tools/compare.py random pixels histogram mean-color \\
        configs/pretrain/saip_small.py configs/pretrain/ablations/*.py --seeds 0 1 2

The model of saip_demo.py, trained longer and on more people. Settings suit a few
thousand steps: higher learning rate, lower teacher momentum, and local views that show
enough of a person to be recognized. Expected result: docs/comparison.md.
"""

_base_ = ['saip_demo.py']

train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        num_identities=2000,
        images_per_identity=3,
        keep=True,
        scenes=dict(num_scenes=1000, keep=True),
        pipeline=[
            dict(
                type='DrawViews',
                global_size=(128, 64),
                local_size=(64, 32),
                scene_size=(112, 112),
                num_locals=2,
                local=dict(area=(0.2, 0.8), aspect=(0.4, 0.6), blur=0.5),
                blur_sigma=(0.1, 1.0),
                colors=dict(
                    jitter=0.8,
                    brightness=0.1,
                    contrast=0.1,
                    saturation=0.1,
                    hue=0.02,
                    gray=0.0,
                ),
                global_1=dict(area=(0.8, 1.0), aspect=(0.4, 0.6), blur=0.1),
            ),
            dict(type='ApplyViews'),
        ],
    ),
)

max_epochs = 12
optim_wrapper = dict(optimizer=dict(lr=1.6e-2))
default_hooks = dict(
    saip=dict(momentum=0.95),
    logger=dict(interval=50),
    checkpoint=dict(max_keep_ckpts=1),
    probe=dict(interval=3),
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
