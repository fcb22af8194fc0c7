"""Fashionpedia, KE R-CNN on a feature pyramid of a SAIP ViT-Tiny, 1024×1024.

Expected result: AP(IoU+F1) of boxes 38.0 ("Ours" and "Ours*"), as read off the
authors' figures (arXiv 2503.08201); not measured by this project. Heads, loss weights,
optimizer, schedule and sizes are the authors'; they do not state the batch size.

    tools/dist_train.sh \
        configs/downstream/part_attributes/fashionpedia_ke-rcnn_saip-vit-tiny.py 8 \
        --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth

Data: data/fashionpedia with instances_attributes_{train,val}2020.json, train/ and test/
(github.com/cvdfoundation/fashionpedia).
"""

_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'

custom_imports = dict(
    imports=[
        'saip_mm',
        'saip_mm.downstream.part_attributes',
        'saip_mm.downstream.pyramid',
    ]
)

data_root = 'data/fashionpedia/'
train_file = 'instances_attributes_train2020.json'
val_file = 'instances_attributes_val2020.json'
# 46 garments and parts, and the human around them.
num_classes = 47
fpn = dict(type='FPN', out_channels=256, num_outs=5)
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.SAIPViT',
        img_size=(1024, 1024),
        init_cfg=dict(type='Pretrained', checkpoint='backbone.pth'),
    ),
    neck=[
        dict(type='mmpretrain.ViTPyramid', in_channels=192),
        dict(fpn, in_channels=[48, 96, 192, 192]),
    ],
    roi_head=dict(
        type='PartAttributeRoIHead',
        bbox_head=dict(type='Shared4Conv1FCBBoxHead', num_classes=num_classes),
        mask_head=dict(num_classes=num_classes),
        attribute_head=dict(
            type='KnowledgeAttributeHead',
            num_attributes=294,
            num_parts=num_classes - 1,
            knowledge=data_root + train_file,
        ),
        loss_attribute=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=5.0),
    ),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadPartAnnotations'),
    dict(type='AppendHuman', label=num_classes - 1, margin=10),
    dict(
        type='RandomResize', scale=(896, 896), ratio_range=(0.5, 1.25), keep_ratio=True
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackPartInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1024, 1024), keep_ratio=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
train_dataloader = dict(
    dataset=dict(
        type='Fashionpedia',
        data_root=data_root,
        ann_file=train_file,
        data_prefix=dict(img='train/'),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        type='Fashionpedia',
        data_root=data_root,
        ann_file=val_file,
        data_prefix=dict(img='test/'),
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(
    _delete_=True,
    type='PartAttributeMetric',
    ann_file=data_root + val_file,
    threshold=0.3,
)
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=32)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=32, milestones=[26, 30]),
]
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-4, weight_decay=0.05)
)
