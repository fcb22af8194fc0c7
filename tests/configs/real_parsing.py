"""Overfit masks of people in a few photographs, for tests/fine_tune_real.py.

Differs in classes, sizes (photographs are in landscape format), and schedule, and has
no color distortion.
"""

_base_ = '../../configs/downstream/parsing/lip_saip-vit-tiny_576x384.py'

data_root = '{{$REAL_PEOPLE:work_dirs/real}}'
photographs = '{{$PHOTOGRAPHS:photographs}}'
size = (288, 432)
scale = (432, 288)
channels = 64
norm = dict(num_groups=8)  # of as many channels as ours
model = dict(
    data_preprocessor=dict(size=size),
    backbone=dict(img_size=size, init_cfg=dict(checkpoint=f'{data_root}/backbone.pth')),
    decode_head=dict(channels=channels, num_classes=2, norm_cfg=norm),
    auxiliary_head=dict(channels=channels, num_classes=2, norm_cfg=norm),
)

load = dict(type='LoadImageFromFile')
load_labels = [
    dict(type='LoadAnnotations'),
    dict(type='CheckLabels', num_classes=2),
]
loader = dict(batch_size=2, num_workers=0, persistent_workers=False)
files = dict(
    type='BaseSegDataset',
    data_root=data_root,
    data_prefix=dict(img_path=photographs, seg_map_path=f'{photographs}_labels'),
    metainfo=dict(classes=('background', 'person'), palette=[[0, 0, 0], [255, 200, 0]]),
)
train_dataloader = dict(
    **loader,
    dataset=dict(
        **files,
        pipeline=[
            load,
            *load_labels,
            dict(type='RandomResize', scale=scale, ratio_range=(0.75, 1.25)),
            dict(type='RandomCrop', crop_size=size),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackSegInputs'),
        ],
    ),
)
test_dataloader = dict(
    **loader,
    dataset=dict(
        **files,
        pipeline=[
            load,
            dict(type='Resize', scale=scale),
            *load_labels,
            dict(type='PackSegInputs'),
        ],
    ),
)
val_dataloader = val_cfg = val_evaluator = None

max_epochs = 360
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, end=20),
    dict(type='CosineAnnealingLR', T_max=max_epochs, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs)
default_hooks = dict(
    checkpoint=dict(interval=max_epochs),
    logger=dict(interval=1),
    visualization=dict(draw=True, interval=1),
)
