"""SAIP on ViT-Tiny: model, views and optimizer of the method."""

custom_imports = dict(imports=['saip_mm'], allow_failed_imports=False)
default_scope = 'mmpretrain'

# Sizes are (h, w) in pixels.
global_size = (256, 128)
local_size = (128, 64)
scene_size = (224, 224)
patch_size = 16

model = dict(
    type='SAIP',
    data_preprocessor=dict(
        type='SAIPDataPreprocessor',
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
        scales=(0.75, 0.875, 1.125, 1.25),
        csr_scale=1.25,
        patch_size=patch_size,
    ),
    backbone=dict(
        type='SAIPViT',
        arch='deit-tiny',
        img_size=global_size,
        patch_size=patch_size,
        middle_block=6,
    ),
    matching=dict(
        type='CrossScaleMatchingHead',
        in_channels=192,
        hidden_channels=2048,
        bottleneck_channels=256,
        out_channels=65536,
        student_temperature=0.1,
        teacher_temperature=0.04,
        center_momentum=0.9,
    ),
    reconstruction=dict(
        type='CrossScaleReconstructionHead',
        in_channels=192,
        embed_dims=512,
        num_blocks=8,
        num_heads=16,
        img_size=global_size,
        patch_size=patch_size,
        mask_ratio=0.75,
    ),
    search=dict(
        type='CrossScaleSearchHead',
        in_channels=192,
        embed_dims=512,
        num_blocks=2,
        num_heads=16,
    ),
)

train_pipeline = [
    dict(
        type='DrawViews',
        global_size=global_size,
        local_size=local_size,
        scene_size=scene_size,
        patch_size=patch_size,
        num_locals=6,
    ),
    dict(type='ApplyViews'),
]
train_dataloader = dict(
    batch_size=256,
    num_workers=12,
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,
    sampler=dict(type='StatelessSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    # Scenes are other images of this data set, hence crops of people. To use a folder
    # of photographs instead: scenes=dict(type='PersonImages', data_root='photos')
    dataset=dict(type='PersonImages', pipeline=train_pipeline),
)

# The learning rate is for a global batch of 256 (batch size × processes) and is scaled
# to the actual one.
auto_scale_lr = dict(enable=True, base_batch_size=256)
optim_wrapper = dict(
    type='BFloat16OptimWrapper',
    optimizer=dict(type='AdamW', lr=2.5e-4, betas=(0.9, 0.95), weight_decay=0.05),
    constructor='WeightDecayGroups',
    paramwise_cfg=dict(
        no_decay=['cls_token', 'mask_token', 'pos_embed', 'attention_biases']
    ),
)
