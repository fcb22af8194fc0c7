"""Pedestrian attributes with ViT-Tiny: model, images, optimizer.

A linear layer on the class token, trained with the frequency-weighted loss of DeepMAR,
all layers with AdamW at 1e-4, as SAIP's authors do. Not stated by them and therefore
this project's: batch 64, crops after padding by 10 pixels and trainval as training set
(both as Jia et al., arXiv 2107.03576, do), weight decay 0.05, one epoch of warm-up and
cosine decay.
"""

_base_ = 'mmpretrain::_base_/default_runtime.py'

custom_imports = dict(
    imports=['saip_mm', 'saip_mm.downstream.attributes'], allow_failed_imports=False
)

model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        type='ClsDataPreprocessor',
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
        to_rgb=True,
    ),
    backbone=dict(
        type='SAIPViT',
        arch='deit-tiny',
        img_size=(256, 128),
        out_type='cls_token',
        init_cfg=dict(type='Pretrained', checkpoint='backbone.pth'),
    ),
    head=dict(
        type='MultiLabelLinearClsHead',
        in_channels=192,
        loss=dict(type='RatioWeightedBCELoss'),
    ),
)
custom_hooks = [dict(type='PositiveRatioHook')]

# mmcv's Resize takes (w, h), RandomCrop (h, w). Images are BGR until they are batched.
resize = dict(type='Resize', scale=(128, 256), interpolation='bicubic')
train_pipeline = [
    dict(type='LoadImageFromFile'),
    resize,
    dict(type='RandomCrop', crop_size=(256, 128), padding=10),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='LoadImageFromFile'), resize, dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(split='trainval', pipeline=train_pipeline),
)
test_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(split='test', pipeline=test_pipeline, test_mode=True),
)
val_dataloader = test_dataloader
test_evaluator = dict(type='PedestrianAttributeMetric')
val_evaluator = test_evaluator

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.05),
    constructor='WeightDecayGroups',
    paramwise_cfg=dict(no_decay=['cls_token', 'pos_embed']),
)
val_cfg = dict()
test_cfg = dict()
default_hooks = dict(checkpoint=dict(type='CheckpointHook', max_keep_ckpts=2))
