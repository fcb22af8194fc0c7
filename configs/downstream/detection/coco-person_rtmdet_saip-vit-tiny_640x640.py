"""COCO persons, a light detector with a SAIP ViT-Tiny, 640×640.

RTMDet-tiny's neck and head cost less than the backbone, which has 40x40 patches in
windows of 14x14, with every third block global. Data, augmentation, and schedule are
RTMDet's. Expected result: not measured by this project.

    tools/dist_train.sh \
        configs/downstream/detection/coco-person_rtmdet_saip-vit-tiny_640x640.py 8 \
        --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth

Data: as for coco-person_faster-rcnn_saip-vit-tiny.py.
"""

_base_ = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'

custom_imports = dict(imports=['saip_mm', 'saip_mm.downstream.pyramid'])

model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    ),
    backbone=dict(
        _delete_=True,
        type='mmpretrain.SAIPWindowedViT',
        img_size=(640, 640),
        window_size=16,
        init_cfg=dict(type='Pretrained', checkpoint='backbone.pth'),
    ),
    neck=[
        dict(type='mmpretrain.ViTPyramid', in_channels=192, strides=(8, 16, 32)),
        dict(
            type='CSPNeXtPAFPN',
            in_channels=[96, 192, 192],
            out_channels=96,
            num_csp_blocks=1,
            expand_ratio=0.5,
            norm_cfg=dict(type='SyncBN'),
            act_cfg=dict(type='SiLU', inplace=True),
        ),
    ],
    bbox_head=dict(num_classes=1),
)
person = dict(metainfo=dict(classes=('person',)))
train_dataloader = dict(dataset=person)
val_dataloader = dict(dataset=person)
test_dataloader = val_dataloader
optim_wrapper = dict(
    constructor='mmpretrain.LayerDecay',
    paramwise_cfg=dict(
        _delete_=True, decay_rate=0.75, no_decay=['cls_token', 'pos_embed']
    ),
    optimizer=dict(lr=1e-3),
)
auto_scale_lr = dict(base_batch_size=256)
# RTMDet's, but with a minimum in proportion to each learning rate.
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-5, by_epoch=False, end=1000),
    dict(
        type='CosineAnnealingLR',
        begin=150,
        end=300,
        eta_min_ratio=0.05,
        convert_to_iter_based=True,
    ),
]
