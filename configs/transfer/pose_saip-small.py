"""Keypoints of people in COCO's format, fine-tuned from a small SAIP.

    python tools/train.py configs/transfer/pose_saip-small.py \
        --cfg-options \
        train_dataloader.dataset.data_root=data/pose \
        test_dataloader.dataset.data_root=data/pose

`data/pose` has annotations train.json and test.json, with file names relative to this
folder.

For other keypoints than COCO's, inherit from this config, and set
model.head.out_channels to their number and `metainfo` of both data sets as in MMPose's
configs/_base_/datasets/coco.py, with keypoints in the order of the annotations. The
`swap` of a keypoint names its counterpart in the mirror image; color may be missing,
and skeleton_info empty ({}).
"""

_base_ = [
    '../downstream/pose/coco_saip-vit-tiny_256x192.py',
    '../_base_/fine_tuning.py',
]

size = (128, 96)
codec = dict(
    type='UDPHeatmap', input_size=(96, 128), heatmap_size=(24, 32), sigma=1.5
)  # (w, h)
model = dict(
    backbone=dict(
        arch=_base_.small_vit,
        img_size=size,
        patch_size=8,
        init_cfg=dict(checkpoint='saip-small'),
    ),
    head=dict(
        in_channels=96,
        deconv_out_channels=(96,),
        deconv_kernel_sizes=(4,),
        decoder=codec,
    ),
)

train_pipeline = [
    dict(type='ReadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomBBoxTransform', rotate_factor=40, scale_factor=(0.75, 1.25)),
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs'),
]
test_pipeline = [
    dict(type='ReadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
    dict(type='PackPoseInputs'),
]
loader = dict(batch_size=32, num_workers=2)
dataset = dict(data_root='data/pose', data_prefix=dict(img=''))
train_dataloader = dict(
    **loader, dataset=dict(**dataset, ann_file='train.json', pipeline=train_pipeline)
)
test_dataloader = dict(
    **loader,
    dataset=dict(
        **dataset, ann_file='test.json', bbox_file=None, pipeline=test_pipeline
    ),
)
val_dataloader = val_cfg = val_evaluator = None
test_evaluator = dict(_delete_=True, type='PCKAccuracy', thr=0.2)

auto_scale_lr = dict(base_batch_size=32)
optim_wrapper = dict(_base_.short_optimizer, _delete_=True)
param_scheduler = _base_.short_schedule
train_cfg = dict(_base_.short_training, _delete_=True)
default_hooks = _base_.short_hooks
log_processor = dict(by_epoch=False)
