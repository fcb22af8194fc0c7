"""Overfit keypoints to a few photographs, for tests/fine_tune_real.py.

Differs in size, schedule, and layer decay, and has no rotation, scaling, or half
bodies.
"""

_base_ = '../../configs/downstream/pose/coco_saip-vit-tiny_256x192.py'

data_root = '{{$REAL_PEOPLE:work_dirs/real}}'
photographs = '{{$PHOTOGRAPHS:photographs}}'
codec = dict(type='UDPHeatmap', input_size=(96, 128), heatmap_size=(24, 32), sigma=1.5)
model = dict(
    backbone=dict(
        img_size=(128, 96), init_cfg=dict(checkpoint=f'{data_root}/backbone.pth')
    ),
    head=dict(decoder=codec),
)

load = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale')]
cut = dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True)
loader = dict(batch_size=6, num_workers=0, persistent_workers=False)
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
            *load,
            dict(type='RandomFlip', direction='horizontal'),
            cut,
            dict(type='GenerateTarget', encoder=codec),
            dict(type='PackPoseInputs'),
        ],
    ),
)
test_dataloader = dict(
    **loader,
    dataset=dict(
        **files, bbox_file=None, pipeline=[*load, cut, dict(type='PackPoseInputs')]
    ),
)
val_dataloader = val_cfg = val_evaluator = None
test_evaluator = dict(ann_file=f'{data_root}/{photographs}.json')

max_epochs = 150
optim_wrapper = dict(
    optimizer=dict(lr=1e-3, weight_decay=0.0), paramwise_cfg=dict(decay_rate=1.0)
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, end=20),
    dict(type='CosineAnnealingLR', T_max=max_epochs, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs)
default_hooks = dict(
    checkpoint=dict(interval=max_epochs, save_best=None),
    logger=dict(interval=10),
    visualization=dict(enable=True),
)
