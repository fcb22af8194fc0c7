"""A small SAIP on drawn people: ten minutes on two CPU cores, without any data.

    python tools/train.py configs/pretrain/saip_demo.py

Shows that everything works end to end; `make demo` runs it. Expected result: search IoU
gain about 0.08 (docs/verification.md). Unlike in the recipes, scenes are drawn as well.
"""

_base_ = ['../_base_/saip_vit-tiny.py', '../_base_/default_runtime.py']

global_size = (128, 64)
local_size = (64, 32)
scene_size = (112, 112)
embed_dims = 96

model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=embed_dims,
            num_layers=6,
            num_heads=3,
            feedforward_channels=384,
        ),
        img_size=global_size,
        middle_block=3,
    ),
    matching=dict(
        in_channels=embed_dims,
        hidden_channels=256,
        bottleneck_channels=64,
        out_channels=1024,
    ),
    reconstruction=dict(
        in_channels=embed_dims,
        embed_dims=128,
        num_blocks=2,
        num_heads=4,
        img_size=global_size,
    ),
    search=dict(in_channels=embed_dims, embed_dims=128, num_heads=4),
)

train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    pin_memory=False,
    dataset=dict(
        _delete_=True,
        type='SyntheticPeople',
        num_identities=300,
        images_per_identity=10,
        size=global_size,
        scenes=dict(type='SyntheticScenes', size=scene_size, max_people=2),
        pipeline=[
            dict(
                type='DrawViews',
                global_size=global_size,
                local_size=local_size,
                scene_size=scene_size,
                num_locals=4,
                blur_sigma=(0.1, 1.0),  # images are half as large
                # Drawn people differ mainly in color. With the jitter for photographs,
                # matching would take hours to learn anything else.
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

max_epochs = 4
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(lr=3.2e-3))
default_hooks = dict(
    saip=dict(momentum=0.99, base_batch_size=32, max_initial_share=0.001),
    logger=dict(interval=10),
    # Probes the teacher on held-out drawn people.
    probe=dict(type='ProbeHook', interval=2),
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
