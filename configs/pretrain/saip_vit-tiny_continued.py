"""Continue the packaged `saip-vit-tiny` on your images of people, on a CPU.

    tools/dist_train.sh configs/pretrain/saip_vit-tiny_continued.py 2 --cfg-options \
        train_dataloader.dataset.data_root=data/people

The recipe is that of saip_small_continued.py, including its small decoders: decoders
start from random weights anyway, and a step takes 1.6 instead of 2.0 s.
"""

_base_ = './saip_small_continued.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='SAIPViT',
        arch='deit-tiny',
        img_size=(128, 64),
        patch_size=8,
        middle_block=6,
        init_cfg=dict(type='Pretrained', checkpoint='saip-vit-tiny'),
    ),
    matching=dict(
        in_channels=192,
        hidden_channels=1024,
        bottleneck_channels=256,
        out_channels=2048,
    ),
    reconstruction=dict(in_channels=192),
    search=dict(in_channels=192),
)
train_dataloader = dict(batch_size=16)

optim_wrapper = dict(optimizer=dict(lr=5e-4))
warmup, cosine = _base_.param_scheduler
param_scheduler = [dict(warmup, end=0.25), dict(cosine, begin=0.25)]
train_cfg = dict(max_epochs=5)
