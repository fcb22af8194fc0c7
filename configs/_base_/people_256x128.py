"""ViT-Tiny on person images of 256x128, class token as the output; data loaders."""

_base_ = 'mmpretrain::_base_/default_runtime.py'

model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        type='ClsDataPreprocessor',
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
        to_rgb=True,
    ),
    backbone=dict(
        type='SAIPViT',
        arch='deit-tiny',
        img_size=(256, 128),
        out_type='cls_token',
        init_cfg=dict(type='Pretrained', checkpoint='backbone.pth'),
    ),
)

# mmcv's Resize takes (w, h), RandomCrop (h, w). Images are BGR until batched.
resize = dict(type='Resize', scale=(128, 256), interpolation='bicubic')
loader = dict(
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    collate_fn=dict(type='default_collate'),
)
train_dataloader = dict(batch_size=64, drop_last=True, **loader)
auto_scale_lr = dict(base_batch_size=64)
test_dataloader = dict(
    batch_size=256,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split='test', test_mode=True),
    **loader,
)
val_dataloader = test_dataloader
val_cfg = dict()
test_cfg = dict()
default_hooks = dict(checkpoint=dict(type='CheckpointHook', max_keep_ckpts=2))
