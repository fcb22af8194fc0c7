"""Pedestrian attributes with ViT-Tiny: model, images, optimizer.

A linear layer on the class token and DeepMAR's frequency-weighted loss; all layers are
trained with AdamW at 1e-4, as by SAIP's authors. They do not state the rest, which is
this project's choice: batch 64, crops after padding by 10 pixels and training on
trainval (both as in Jia et al., arXiv 2107.03576), weight decay 0.05, one epoch of
warm-up and cosine decay.
"""

_base_ = 'people_256x128.py'

custom_imports = dict(
    imports=['saip_mm', 'saip_mm.downstream.attributes'], allow_failed_imports=False
)

model = dict(
    head=dict(
        type='MultiLabelLinearClsHead',
        in_channels=192,
        loss=dict(type='RatioWeightedBCELoss'),
    ),
)
custom_hooks = [dict(type='PositiveRatioHook')]

train_pipeline = [
    dict(type='ReadImage'),
    {{_base_.resize}},
    dict(type='RandomCrop', crop_size=(256, 128), padding=10),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='ReadImage'),
    {{_base_.resize}},
    dict(type='PackInputs'),
]
train_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(split='trainval', pipeline=train_pipeline),
)
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
val_dataloader = test_dataloader
test_evaluator = dict(type='PedestrianAttributeMetric')
val_evaluator = test_evaluator

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.05),
    constructor='WeightDecayGroups',
    paramwise_cfg=dict(no_decay=['cls_token', 'pos_embed']),
)
