"""Re-identification on a small data set, fine-tuned from a small SAIP.

    python tools/train.py configs/transfer/reid_saip-small.py \
        --cfg-options \
        train_dataloader.dataset.data_root=data/reid \
        test_dataloader.dataset.data_root=data/reid model.head.num_classes=743

`num_classes` is the number of people in the training set, each with two images or more.
`data/reid` has the layout of Market-1501: `bounding_box_train`, `query` and
`bounding_box_test`, with names such as 0002_c1_17.jpg for person 2 in camera 1, where
person 0 is a distractor in tests. Alternatively, `data/reid/labels.csv` has the columns
path, split (train, query or gallery), identity and, optionally, camera; then set
`train_dataloader.dataset.type=ReIDCSV test_dataloader.dataset.type=ReIDCSV`. A query is
compared with images from other cameras. To test the last checkpoint, with the config
that the training wrote:

    python tools/test.py work_dirs/reid_saip-small/reid_saip-small.py \
        work_dirs/reid_saip-small
"""

_base_ = ['../_base_/reid_256x128.py', '../_base_/fine_tuning.py']

size = (128, 64)
model = dict(
    backbone=dict(
        _delete_=True,
        type='SAIPViT',
        arch=_base_.small_vit,
        img_size=size,
        patch_size=8,
        out_type='cls_token',
        init_cfg=dict(type='Pretrained', checkpoint='saip-small'),
    ),
    head=dict(in_channels=96, num_classes=743),
)

resize = dict(type='Resize', scale=(64, 128), interpolation='bicubic')
train_pipeline = [
    dict(type='ReadImage'),
    resize,
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomCrop', crop_size=size, padding=5),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='ReadImage'),
    resize,
    dict(type='PackInputs', algorithm_keys=('pid', 'camid', 'is_query')),
]
loader = dict(num_workers=2)
dataset = dict(type='Market1501', data_root='data/reid')
train_dataloader = dict(
    **loader,
    batch_size=32,
    # Instead of 8 x 4, mAP on other people of CUHK03 is 0.250 instead of 0.192.
    sampler=dict(num_identities=16, num_images=2),
    dataset=dict(**dataset, pipeline=train_pipeline),
)
test_dataloader = dict(**loader, dataset=dict(**dataset, pipeline=test_pipeline))
val_dataloader = val_cfg = val_evaluator = None

auto_scale_lr = dict(base_batch_size=32)
optim_wrapper = dict(_base_.short_optimizer, _delete_=True)
param_scheduler = _base_.short_schedule
train_cfg = dict(_base_.short_training, _delete_=True)
default_hooks = _base_.short_hooks
log_processor = dict(by_epoch=False)
