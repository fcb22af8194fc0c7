"""SAIP with ViT-Tiny on tens of thousands of person images, on one GPU.

    python tools/train.py configs/pretrain/saip_vit-tiny_128x64.py --cfg-options \\
        train_dataloader.dataset.data_root=data/people

Like saip_small_128x64.py, with decoders half as wide and deep as the recipe's.
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
