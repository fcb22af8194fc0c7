auto_scale_lr = dict(base_batch_size=256, enable=True)
custom_hooks = [
    dict(interval=3, type='ProbeHook'),
]
custom_imports = dict(
    allow_failed_imports=False, imports=[
        'saip_mm',
    ])
default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=1, type='CheckpointHook'),
    logger=dict(interval=50, type='LoggerHook'),
    saip=dict(end_momentum=1.0, momentum=0.95, type='SAIPHook'))
default_scope = 'mmpretrain'
embed_dims = 96
env_cfg = dict(
    cudnn_benchmark=True,
    dist_cfg=dict(backend='nccl'),
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0))
global_size = (
    128,
    64,
)
load_from = None
local_size = (
    64,
    32,
)
log_level = 'INFO'
max_epochs = 12
model = dict(
    backbone=dict(
        arch=dict(
            embed_dims=96, feedforward_channels=384, num_heads=3,
            num_layers=6),
        img_size=(
            128,
            64,
        ),
        middle_block=3,
        patch_size=16,
        type='SAIPViT'),
    data_preprocessor=dict(
        csr_scale=1.25,
        mean=(
            123.675,
            116.28,
            103.53,
        ),
        patch_size=16,
        scales=(
            0.75,
            0.875,
            1.125,
            1.25,
        ),
        std=(
            58.395,
            57.12,
            57.375,
        ),
        type='SAIPDataPreprocessor'),
    matching=dict(
        bottleneck_channels=64,
        center_momentum=0.9,
        hidden_channels=256,
        in_channels=96,
        out_channels=1024,
        student_temperature=0.1,
        teacher_temperature=0.04,
        type='CrossScaleMatchingHead'),
    reconstruction=dict(
        embed_dims=128,
        img_size=(
            128,
            64,
        ),
        in_channels=96,
        mask_ratio=0.75,
        num_blocks=2,
        num_heads=4,
        patch_size=16,
        type='CrossScaleReconstructionHead'),
    search=None,
    type='SAIP')
optim_wrapper = dict(
    constructor='WeightDecayGroups',
    optimizer=dict(
        betas=(
            0.9,
            0.95,
        ), lr=0.016, type='AdamW', weight_decay=0.05),
    paramwise_cfg=dict(no_decay=[
        'cls_token',
        'mask_token',
        'pos_embed',
    ]),
    type='OptimWrapper')
param_scheduler = [
    dict(
        convert_to_iter_based=True,
        end=1,
        start_factor=0.0001,
        type='LinearLR'),
    dict(
        begin=1, convert_to_iter_based=True, end=12, type='CosineAnnealingLR'),
]
patch_size = 16
randomness = dict(seed=0)
resume = False
scene_size = (
    112,
    112,
)
train_cfg = dict(max_epochs=12, type='AccumulatingTrainLoop')
train_dataloader = dict(
    batch_size=32,
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        images_per_identity=3,
        keep=True,
        num_identities=2000,
        pipeline=[
            dict(
                blur_sigma=(
                    0.1,
                    1.0,
                ),
                colours=dict(
                    brightness=0.1,
                    contrast=0.1,
                    grey=0.0,
                    hue=0.02,
                    jitter=0.8,
                    saturation=0.1),
                global_1=dict(
                    area=(
                        0.8,
                        1.0,
                    ), aspect=(
                        0.4,
                        0.6,
                    ), blur=0.1),
                global_size=(
                    128,
                    64,
                ),
                local=dict(area=(
                    0.2,
                    0.8,
                ), aspect=(
                    0.4,
                    0.6,
                ), blur=0.5),
                local_size=(
                    64,
                    32,
                ),
                num_locals=2,
                scene_size=(
                    112,
                    112,
                ),
                type='DrawViews'),
            dict(type='ApplyViews'),
        ],
        scenes=dict(
            keep=True,
            max_people=2,
            num_scenes=1000,
            size=(
                112,
                112,
            ),
            type='SyntheticScenes'),
        size=(
            128,
            64,
        ),
        type='SyntheticPeople'),
    drop_last=True,
    num_workers=0,
    persistent_workers=False,
    pin_memory=False,
    sampler=dict(shuffle=True, type='StatelessSampler'))
train_pipeline = [
    dict(
        global_size=(
            256,
            128,
        ),
        local_size=(
            128,
            64,
        ),
        num_locals=6,
        patch_size=16,
        scene_size=(
            224,
            224,
        ),
        type='DrawViews'),
    dict(type='ApplyViews'),
]
visualizer = dict(
    type='UniversalVisualizer',
    vis_backends=[
        dict(type='LocalVisBackend'),
        dict(type='TensorboardVisBackend'),
    ])
