"""CrowdHuman, CrowdDet R-CNN on a feature pyramid of a SAIP ViT-Tiny, 1400×800.

Expected result: AP 87.1 ("Ours") or 87.2 ("Ours*"), as read off the authors' figures
(arXiv 2503.08201); not measured by this project. Schedule, size, pyramid and optimizer
(AdamW at 2e-4, weight decay 1e-4 for all parameters) are the authors'.

    tools/dist_train.sh \
        configs/downstream/detection/crowdhuman_crowddet_saip-vit-tiny.py 8 \
        --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth

Data: data/CrowdHuman with annotation_train.odgt, annotation_val.odgt and Images/
(crowdhuman.org).
"""

_base_ = 'mmdet::crowddet/crowddet-rcnn_r50_fpn_8xb2-30e_crowdhuman.py'

custom_imports = dict(
    imports=['saip_mm', 'saip_mm.downstream.detection', 'saip_mm.downstream.pyramid']
)

fpn = dict(
    type='FPN',
    out_channels=256,
    num_outs=5,
    upsample_cfg=dict(mode='bilinear', align_corners=False),
)
model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    ),
    backbone=dict(
        _delete_=True,
        type='mmpretrain.SAIPViT',
        img_size=(832, 1408),
        init_cfg=dict(type='Pretrained', checkpoint='backbone.pth'),
    ),
    neck=[
        dict(type='mmpretrain.ViTPyramid', in_channels=192),
        dict(fpn, in_channels=[48, 96, 192, 192]),
    ],
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PadBoxes', num=2),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='PackDetInputs',
        meta_keys=(
            *('img_id', 'img_path', 'ori_shape', 'img_shape'),
            *('flip', 'flip_direction'),
        ),
    ),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=2e-4, weight_decay=1e-4),
)
