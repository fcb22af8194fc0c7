"""Text-to-image retrieval on a small data set, fine-tuned from a small SAIP.

    python tools/train.py configs/transfer/text_retrieval_saip-small.py \
        --cfg-options \
        train_dataloader.dataset.data_root=data/captions \
        test_dataloader.dataset.data_root=data/captions model.num_classes=500

`data/captions` has the layout of CUHK-PEDES: `imgs`, and `reid_raw.json`, a list of
`{"split": "train", "id": 1, "file_path": "1.jpg", "captions": ["A man in red."]}`;
`num_classes` is the number of training people. The text encoder is small and starts
from random weights.
"""

_base_ = ['../_base_/text_retrieval_384x128.py', '../_base_/fine_tuning.py']

size = (128, 64)
model = dict(
    backbone=dict(
        _delete_=True,
        type='SAIPViT',
        arch=_base_.small_vit,
        img_size=size,
        patch_size=8,
        init_cfg=dict(type='Pretrained', checkpoint='saip-small'),
    ),
    text=dict(width=128, num_layers=2, out_channels=128, init_cfg=None),
    num_classes=500,
    mlm=dict(num_blocks=1),
)

resize = dict(type='Resize', scale=(64, 128), interpolation='bicubic')
pack = _base_.test_pipeline[2:]
train_pipeline = [
    dict(type='ReadImage'),
    resize,
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomCrop', crop_size=size, padding=5),
    *pack,
]
test_pipeline = [dict(type='ReadImage'), resize, *pack]
loader = dict(num_workers=2)
dataset = dict(type='CUHKPEDES', data_root='data/captions')
train_dataloader = dict(
    **loader, batch_size=32, dataset=dict(**dataset, pipeline=train_pipeline)
)
test_dataloader = dict(**loader, dataset=dict(**dataset, pipeline=test_pipeline))
val_dataloader = val_cfg = val_evaluator = None

auto_scale_lr = dict(base_batch_size=32)
optim_wrapper = dict(_base_.short_optimizer, _delete_=True)
param_scheduler = _base_.short_schedule
train_cfg = dict(_base_.short_training, _delete_=True)
default_hooks = _base_.short_hooks
log_processor = dict(by_epoch=False)
