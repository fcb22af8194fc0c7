"""COCO persons, Faster R-CNN on a feature pyramid of a SAIP ViT-Tiny.

Expected result: not measured by this project, and not reported by the authors.

    tools/dist_train.sh \
        configs/downstream/detection/coco-person_faster-rcnn_saip-vit-tiny.py 8 \
        --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth

Data: data/coco with train2017/, val2017/ and annotations/instances_*2017.json
(cocodataset.org).
"""

_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'

custom_imports = dict(imports=['saip_mm', 'saip_mm.downstream.pyramid'])

fpn = dict(type='FPN', out_channels=256, num_outs=5)
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.SAIPViT',
        img_size=(800, 1344),
        init_cfg=dict(type='Pretrained', checkpoint='backbone.pth'),
    ),
    neck=[
        dict(type='mmpretrain.ViTPyramid', in_channels=192),
        dict(fpn, in_channels=[48, 96, 192, 192]),
    ],
    roi_head=dict(bbox_head=dict(num_classes=1)),
)
person = dict(metainfo=dict(classes=('person',)))
train_dataloader = dict(dataset=person)
val_dataloader = dict(dataset=person)
test_dataloader = val_dataloader
optim_wrapper = dict(
    constructor='mmpretrain.LayerDecay',
    paramwise_cfg=dict(decay_rate=0.75, no_decay=['cls_token', 'pos_embed']),
    optimizer=dict(_delete_=True, type='AdamW', lr=2e-4, weight_decay=0.05),
)
