"""Boxes of people in COCO's format, a light detector fine-tuned from a small SAIP.

    python tools/train.py configs/transfer/detection_saip-small.py \
        --cfg-options \
        train_dataloader.dataset.data_root=data/boxes \
        test_dataloader.dataset.data_root=data/boxes \
        test_evaluator.ann_file=data/boxes/test.json

`data/boxes` has annotations train.json and test.json, with file names relative to this
folder. Neck and head are RTMDet-tiny's; images have at most 256 pixels per side.

For other classes than "person", inherit from this config, and set `metainfo` of both
data sets, as in dict(classes=('adult', 'child')), and model.bbox_head.num_classes.
"""

_base_ = [
    '../downstream/detection/coco-person_rtmdet_saip-vit-tiny_640x640.py',
    '../_base_/fine_tuning.py',
    '../_base_/small_boxes.py',
]

model = dict(
    data_preprocessor=dict(pad_size_divisor=32),
    backbone=dict(
        arch=_base_.small_vit,
        img_size=_base_.boxes_size,
        patch_size=8,
        init_cfg=dict(checkpoint='saip-small'),
    ),
    neck=[
        dict(_base_.model.neck[0], in_channels=96, in_stride=8),
        dict(_base_.model.neck[1], in_channels=[96, 96, 96]),
    ],
)
train_dataloader = _base_.boxes_loaders['train']
test_dataloader = _base_.boxes_loaders['test']
test_evaluator = dict(ann_file='data/boxes/test.json')
val_dataloader = val_cfg = val_evaluator = None
tta_model = tta_pipeline = None  # those of RTMDet are for larger images

auto_scale_lr = dict(base_batch_size=8)
optim_wrapper = dict(
    _base_.short_optimizer,
    _delete_=True,
    paramwise_cfg=dict(bypass_duplicate=True),  # the levels share convolutions
)
param_scheduler = _base_.short_schedule
train_cfg = dict(_base_.short_training, _delete_=True)
default_hooks = _base_.short_hooks
custom_hooks = _base_.boxes_hooks
log_processor = dict(by_epoch=False)
