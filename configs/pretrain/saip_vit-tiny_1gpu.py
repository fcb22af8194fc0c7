"""SAIP on 20,000–200,000 images of your own, on one GPU, from weights that you have.

    python tools/train.py configs/pretrain/saip_vit-tiny_1gpu.py --cfg-options \
        train_dataloader.dataset.data_root=data/people \
        model.backbone.init_cfg.checkpoint=checkpoints/vit-tiny.pth

The weights are an exported or converted backbone (tools/export_backbone.py,
tools/convert_checkpoint.py). Without any: `--cfg-options model.backbone.init_cfg=None`,
and expect to need more epochs.

What follows from a batch smaller than the recipe's 2048, and why. All of it follows
`train_dataloader.batch_size`, also on the command line and on several GPUs.

- Learning rate ∝ batch: the same change of weights per image seen (`auto_scale_lr`).
- Teacher and center momentum m → m^(batch / 2048): they then average over the same
  number of images, not of steps (`base_batch_size`, arXiv 2307.13813).
- AdamW's betas stay those of the recipe.

What follows from the number of images:

- The teacher must leave its initial weights behind. In 100 epochs of 1,000 images the
  recipe's momentum would keep nine tenths of them; it is lowered until 0.1 % is left
  (`max_initial_share`). From about 70,000 images on this changes nothing.
- Outputs ∝ images: the recipe has one output per 15 images. With many more outputs most
  are never chosen by any image, and cost memory and time for nothing. 8192 fits about
  120,000 images; halve or double it to follow your own number.
"""

_base_ = './saip_vit-tiny.py'

model = dict(
    backbone=dict(
        init_cfg=dict(
            type='Pretrained', checkpoint='checkpoints/vit-tiny.pth', prefix='backbone.'
        )
    ),
    matching=dict(out_channels=8192),
)
train_dataloader = dict(
    batch_size=256, dataset=dict(data_root='data/people', ann_file='')
)
default_hooks = dict(saip=dict(max_initial_share=0.001))

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=5, end=100, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=100)
