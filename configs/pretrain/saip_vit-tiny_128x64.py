"""ViT-Tiny with SAIP on 10,000 to 20,000 images of people, on one GPU.

    python tools/train.py configs/pretrain/saip_vit-tiny_128x64.py --cfg-options \
        train_dataloader.dataset.data_root=data/people

This recipe trained the weights `saip-vit-tiny` on their first 1.44 M images, in 11
minutes on an H200 shared with other runs (docs/model_card.md);
saip_vit-tiny_continued.py trained them on the rest. The reconstruction decoder is half
as wide and deep as that of saip_vit-tiny.py, and the search decoder half as wide.
"""

_base_ = './saip_small_128x64.py'

global_size = (128, 64)

model = dict(
    backbone=dict(
        _delete_=True,
        type='SAIPViT',
        arch='deit-tiny',
        img_size=global_size,
        patch_size=8,
        middle_block=6,
    ),
    matching=dict(
        in_channels=192,
        hidden_channels=1024,
        bottleneck_channels=256,
        out_channels=2048,
    ),
    reconstruction=dict(in_channels=192, embed_dims=256, num_blocks=4, num_heads=8),
    search=dict(in_channels=192, embed_dims=256, num_heads=8),
)
train_dataloader = dict(batch_size=256, num_workers=12)

optim_wrapper = dict(optimizer=dict(lr=1.5e-3))
warmup, cosine = _base_.param_scheduler
param_scheduler = [dict(warmup, end=4), dict(cosine, begin=4)]
train_cfg = dict(max_epochs=78)
