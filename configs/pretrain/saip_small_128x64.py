"""A small SAIP (0.7 M parameters) on 10,000 to 20,000 images of people, on one GPU.

    python tools/train.py configs/pretrain/saip_small_128x64.py --cfg-options \
        train_dataloader.dataset.data_root=data/people

This recipe trained the weights `saip-small` on their first 601,600 images, in 12
minutes on an H200 shared with other runs (docs/model_card.md); saip_small_continued.py
trained them on the rest. Larger images are shrunk to 128x96 pixels (h x w).
Patches of 8 pixels give the token grids of saip_vit-tiny.py with a quarter of the
pixels. Views are made on the model's device.
"""

_base_ = ['../_base_/saip_vit-tiny.py', '../_base_/default_runtime.py']

global_size = (128, 64)
local_size = (64, 32)
scene_size = (112, 112)
patch_size = 8
embed_dims = 96

model = dict(
    data_preprocessor=dict(patch_size=patch_size),
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=embed_dims,
            num_layers=6,
            num_heads=3,
            feedforward_channels=4 * embed_dims,
        ),
        img_size=global_size,
        patch_size=patch_size,
        middle_block=3,
    ),
    matching=dict(
        in_channels=embed_dims,
        hidden_channels=512,
        bottleneck_channels=64,
        out_channels=1024,
    ),
    reconstruction=dict(
        in_channels=embed_dims,
        embed_dims=128,
        num_blocks=2,
        num_heads=4,
        img_size=global_size,
        patch_size=patch_size,
    ),
    search=dict(in_channels=embed_dims, embed_dims=128, num_heads=4),
    loss_weights=dict(matching=0.03),
)

draw_views = dict(
    type='DrawViews',
    global_size=global_size,
    local_size=local_size,
    scene_size=scene_size,
    patch_size=patch_size,
    num_locals=4,
    global_0=dict(area=(0.5, 1.0), aspect=(0.4, 0.6), blur=0.5),
    global_1=dict(area=(0.5, 1.0), aspect=(0.4, 0.6), blur=0.1, solarize=0.2),
    local=dict(area=(0.15, 0.5), aspect=(0.4, 0.6), blur=0.5),
    blur_sigma=(0.1, 1.0),
    colors=dict(
        jitter=0.8,
        brightness=0.2,
        contrast=0.2,
        saturation=0.1,
        hue=0.02,
        gray=0.05,
    ),
)
train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    dataset=dict(
        data_root='data/people',
        pipeline=[
            draw_views,
            dict(type='PackViews', canvas=(128, 96)),
        ],
    ),
)

auto_scale_lr = dict(enable=False)
optim_wrapper = dict(
    optimizer=dict(lr=2e-3),
    clip_grad=dict(max_norm=3.0),
    paramwise_cfg=dict(custom_keys=dict(matching=dict(lr_mult=0.25))),
)
default_hooks = dict(
    saip=dict(momentum=0.99, end_momentum=0.998, base_batch_size=None),
    logger=dict(interval=20),
    checkpoint=dict(max_keep_ckpts=1),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, end=2, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=2,
        eta_min_ratio=0.001,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(type='AccumulatingTrainLoop', max_epochs=32)
