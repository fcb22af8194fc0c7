"""A small SAIP on drawn people: 5 to 20 minutes on two CPU cores, without any data.

    python tools/train.py configs/pretrain/saip_demo.py

`make demo` runs it in two processes. Expected result on people unseen in training:
re-identification mAP from 0.03 to 0.09, search IoU 0.52 against 0.15 for a stranger's
query (docs/verification.md). The recipe is that of saip_small_128x64.py with patches of
16 pixels. Unlike in the other configs, scenes are drawn as well.
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
    # Otherwise the shared blocks follow matching alone in so short a training.
    loss_weights=dict(matching=0.03),
)

train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    dataset=dict(
        _delete_=True,
        type='SyntheticPeople',
        num_identities=1000,
        images_per_identity=3,
        size=global_size,
        keep=True,
        scenes=dict(
            type='SyntheticScenes',
            num_scenes=1000,
            size=scene_size,
            max_people=2,
            keep=True,
        ),
        pipeline=[
            dict(
                type='DrawViews',
                global_size=global_size,
                local_size=local_size,
                scene_size=scene_size,
                num_locals=2,
                global_0=dict(area=(0.5, 1.0), aspect=(0.4, 0.6), blur=0.5),
                global_1=dict(area=(0.5, 1.0), aspect=(0.4, 0.6), blur=0.1),
                local=dict(area=(0.2, 0.6), aspect=(0.4, 0.6), blur=0.5),
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
            ),
            dict(type='ApplyViews'),
        ],
    ),
)

auto_scale_lr = dict(enable=False)
optim_wrapper = dict(
    optimizer=dict(lr=2e-3, fused=True),
    clip_grad=dict(max_norm=3.0),
    paramwise_cfg=dict(custom_keys=dict(matching=dict(lr_mult=0.25))),
)
default_hooks = dict(
    saip=dict(momentum=0.97, end_momentum=0.99, base_batch_size=32),
    logger=dict(interval=20),
    checkpoint=dict(max_keep_ckpts=2),
    # Probes the teacher on held-out drawn people.
    probe=dict(type='ProbeHook', interval=4),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, end=1, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=1,
        eta_min_ratio=0.001,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(type='AccumulatingTrainLoop', max_epochs=16)
