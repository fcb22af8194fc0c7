"""Re-identification with ViT-Tiny: model, images, optimizer and schedule.

Follows TransReID's plain baseline for self-supervised ViTs (He et al., ICCV 2021; Luo
et al., 2021): 256x128, batches of 16 identities x 4 images, 120 epochs of SGD, 20 of
them warm-up, then cosine decay. Label smoothing and the comparison of features after
the batch norm are from "Bag of Tricks" (Luo et al., 2019).
"""

_base_ = 'people_256x128.py'

custom_imports = dict(
    imports=['saip_mm', 'saip_mm.downstream.reid'], allow_failed_imports=False
)

model = dict(
    head=dict(
        type='ReIDHead',
        in_channels=192,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1),
        triplet=dict(type='BatchHardTripletLoss'),
    ),
)

train_pipeline = [
    dict(type='ReadImage'),
    {{_base_.resize}},
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomCrop', crop_size=(256, 128), padding=10),
    dict(
        type='RandomErasing',
        erase_prob=0.5,
        min_area_ratio=0.02,
        max_area_ratio=1 / 3,
        mode='rand',
        fill_color=(103.53, 116.28, 123.675),
        fill_std=(57.375, 57.12, 58.395),
    ),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='ReadImage'),
    {{_base_.resize}},
    dict(type='PackInputs', algorithm_keys=('pid', 'camid', 'is_query')),
]
train_dataloader = dict(
    sampler=dict(type='PKSampler', num_identities=16, num_images=4),
    dataset=dict(split='train', pipeline=train_pipeline),
)
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
val_dataloader = test_dataloader
test_evaluator = dict(type='ReIDMetric')
val_evaluator = test_evaluator

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=4e-4, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(bias_lr_mult=2.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=20, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=0.002,
        begin=20,
        end=120,
        convert_to_iter_based=True,
    ),
]
# The last checkpoint counts: intermediate results are measured on the test set, so that
# they cannot select another.
train_cfg = dict(by_epoch=True, max_epochs=120, val_interval=40)
# All processes test with, and save, the same batch-norm statistics.
custom_hooks = [dict(type='SyncBuffersHook')]
