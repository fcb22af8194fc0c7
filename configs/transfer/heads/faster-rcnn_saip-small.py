"""The setting of detection_saip-small.py with Faster R-CNN.

It serves for comparison with the light detector there. The second stage trains on 128
proposals per image instead of 512.
"""

_base_ = [
    '../../downstream/detection/coco-person_faster-rcnn_saip-vit-tiny.py',
    '../../_base_/fine_tuning.py',
    '../../_base_/small_boxes.py',
]

model = dict(
    backbone=dict(
        arch=_base_.small_vit,
        img_size=_base_.boxes_size,
        patch_size=8,
        init_cfg=dict(checkpoint='saip-small'),
    ),
    neck=[
        dict(_base_.model.neck[0], in_channels=96, in_stride=8),
        dict(_base_.fpn, in_channels=[48, 96, 96, 96]),
    ],
    train_cfg=dict(rcnn=dict(sampler=dict(num=128))),
)
train_dataloader = _base_.boxes_loaders['train']
test_dataloader = _base_.boxes_loaders['test']
test_evaluator = dict(ann_file='data/boxes/test.json')
val_dataloader = val_cfg = val_evaluator = None

auto_scale_lr = dict(base_batch_size=8)
optim_wrapper = dict(_base_.short_optimizer, _delete_=True)
param_scheduler = _base_.short_schedule
train_cfg = dict(_base_.short_training, _delete_=True)
default_hooks = _base_.short_hooks
custom_hooks = _base_.boxes_hooks
log_processor = dict(by_epoch=False)
