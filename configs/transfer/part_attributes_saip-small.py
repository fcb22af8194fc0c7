"""Garments, their parts and attributes, fine-tuned from a small SAIP.

    python tools/make_synthetic.py fashionpedia data/fashionpedia --num 1000
    python tools/train.py configs/transfer/part_attributes_saip-small.py

To use other data in the layout of data/fashionpedia:

    python tools/train.py configs/transfer/part_attributes_saip-small.py \
        --cfg-options \
        model.roi_head.attribute_head.knowledge=data/mine/train.json \
        train_dataloader.dataset.data_root=data/mine \
        train_dataloader.dataset.ann_file=train.json \
        test_dataloader.dataset.data_root=data/mine \
        test_dataloader.dataset.ann_file=val.json \
        test_evaluator.ann_file=data/mine/val.json

KE R-CNN has a quarter of its usual channels; images have at most 256 pixels per side.
"""

_base_ = [
    '../downstream/part_attributes/fashionpedia_ke-rcnn_saip-vit-tiny.py',
    '../_base_/fine_tuning.py',
]

size = (256, 256)
channels, box_channels = 64, 256
model = dict(
    backbone=dict(
        arch=_base_.small_vit,
        img_size=size,
        patch_size=8,
        init_cfg=dict(checkpoint='saip-small'),
    ),
    neck=[
        dict(_base_.model.neck[0], in_channels=96, in_stride=8),
        dict(_base_.fpn, in_channels=[48, 96, 96, 96], out_channels=channels),
    ],
    rpn_head=dict(in_channels=channels, feat_channels=channels),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=channels),
        mask_roi_extractor=dict(out_channels=channels),
        bbox_head=dict(
            in_channels=channels,
            conv_out_channels=channels,
            fc_out_channels=box_channels,
        ),
        mask_head=dict(in_channels=channels, conv_out_channels=channels),
        attribute_head=dict(
            box_channels=box_channels,
            channels=channels,
            num_heads=2,
            feedforward_channels=128,
        ),
    ),
    train_cfg=dict(rcnn=dict(sampler=dict(num=64))),
)

read = dict(type='ReadImage')
resize = dict(type='Resize', scale=size, keep_ratio=True)
train_pipeline = [read, *_base_.train_pipeline[1:3], resize, *_base_.train_pipeline[4:]]
test_pipeline = [read, resize, _base_.test_pipeline[2]]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
val_dataloader = val_cfg = val_evaluator = None

auto_scale_lr = dict(base_batch_size=8)
optim_wrapper = dict(_base_.short_optimizer, _delete_=True)
param_scheduler = _base_.short_schedule
train_cfg = dict(_base_.short_training, _delete_=True)
default_hooks = _base_.short_hooks
log_processor = dict(by_epoch=False)
