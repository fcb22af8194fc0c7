"""Overfit person detection to a few photographs, for tests/fine_tune_real.py.

Differs in sizes (images, anchors, layers, numbers of proposals), schedule, and layer
decay.
"""

_base_ = '../../configs/downstream/detection/coco-person_faster-rcnn_saip-vit-tiny.py'

data_root = '{{$REAL_PEOPLE:work_dirs/real}}'
photographs = '{{$PHOTOGRAPHS:photographs}}'
channels = 96
model = dict(
    backbone=dict(
        img_size=(176, 256), init_cfg=dict(checkpoint=f'{data_root}/backbone.pth')
    ),
    neck=[
        dict(type='mmpretrain.ViTPyramid', in_channels=192),
        dict(
            type='FPN',
            in_channels=[48, 96, 192, 192],
            out_channels=channels,
            num_outs=5,
        ),
    ],
    rpn_head=dict(
        in_channels=channels,
        feat_channels=channels,
        anchor_generator=dict(scales=[4]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=channels),
        bbox_head=dict(in_channels=channels),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=400, max_per_img=200),
        rcnn=dict(sampler=dict(num=64)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=400, max_per_img=200)),
)

resize = dict(type='Resize', scale=(256, 256), keep_ratio=True)
load = dict(type='LoadImageFromFile')
loader = dict(batch_size=2, num_workers=0, persistent_workers=False)
files = dict(
    data_root=data_root,
    ann_file=f'{photographs}.json',
    data_prefix=dict(img=photographs),
)
train_dataloader = dict(
    **loader,
    dataset=dict(
        **files,
        pipeline=[
            load,
            dict(type='LoadAnnotations', with_bbox=True),
            resize,
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackDetInputs'),
        ],
    ),
)
test_dataloader = dict(
    **loader,
    dataset=dict(
        **files,
        pipeline=[
            load,
            resize,
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='PackDetInputs'),
        ],
    ),
)
val_dataloader = val_cfg = val_evaluator = None
test_evaluator = dict(ann_file=f'{data_root}/{photographs}.json')

max_epochs = 150
optim_wrapper = dict(
    optimizer=dict(lr=5e-4, weight_decay=0.0),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, end=20),
    dict(type='CosineAnnealingLR', T_max=max_epochs, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs)
default_hooks = dict(
    checkpoint=dict(interval=max_epochs),
    logger=dict(interval=1),
    visualization=dict(draw=True),
)
