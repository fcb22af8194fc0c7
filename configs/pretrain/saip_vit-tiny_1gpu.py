"""SAIP on 20,000–200,000 images of your own, on one GPU, from pretrained weights.

    python tools/train.py configs/pretrain/saip_vit-tiny_1gpu.py --cfg-options \
        train_dataloader.dataset.data_root=data/people \
        model.backbone.init_cfg.checkpoint=checkpoints/vit-tiny.pth

The weights are a backbone from tools/export_backbone.py or tools/convert_checkpoint.py.
To start from scratch: `--cfg-options model.backbone.init_cfg=None`; expect to need more
epochs. No result has been measured.

Settings that follow the batch size (2048 in the recipe), including a
`train_dataloader.batch_size` from the command line and several GPUs:

- Learning rate ∝ batch: the same change of weights per image (`auto_scale_lr`).
- Teacher and center momentum m → m^(batch / 2048): both average over the same number of
  images instead of steps (`base_batch_size`, arXiv 2307.13813).
- AdamW's betas remain those of the recipe.

Settings that follow the number of images:

- The teacher has to replace its initial weights. In 100 epochs of 1,000 images, the
  recipe's momentum would keep nine tenths of them; it is lowered until 0.1 % is left
  (`max_initial_share`). Above about 70,000 images, this changes nothing.
- Outputs ∝ images: the recipe has one output per 15 images. Many more would mostly stay
  unused and cost memory and time. 8192 suits about 120,000 images; change it in
  proportion.
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
