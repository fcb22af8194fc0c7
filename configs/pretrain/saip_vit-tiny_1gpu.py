"""SAIP on 20,000–200,000 images of your own, on one GPU.

    python tools/train.py configs/pretrain/saip_vit-tiny_1gpu.py --cfg-options \
        train_dataloader.dataset.data_root=data/people

To start from the output of tools/export_backbone.py or tools/convert_checkpoint.py, add

        model.backbone.init_cfg.type=Pretrained \
        model.backbone.init_cfg.checkpoint=checkpoints/vit-tiny.pth

Loss weights, clipping, learning rates, and momenta are those of
saip_vit-tiny_128x64.py, whose results are in docs/model_card.md: in runs of a few
thousand steps, matching with the paper's weight of 1 leaves the other objectives hardly
any influence on the shared blocks. With images of 256x128 and patches of 16 pixels, no
result has been measured.

Settings that depend on the batch size, including a `train_dataloader.batch_size` from
the command line and several GPUs:

- Learning rate ∝ batch, so that weights change as much per image (`auto_scale_lr`).
- Teacher and center momentum m → m^(batch / 256): both average over the same number of
  images instead of steps (`base_batch_size`, arXiv 2307.13813).
- AdamW's betas remain those of the recipe.

Settings that depend on the number of images:

- The teacher has to replace its initial weights: with few steps, its momentum is
  lowered until 0.1 % of them is left at the end (`max_initial_share`).
- Outputs ∝ images: the recipe has one output per 15 images. Many more outputs would
  mostly stay unused, and cost memory and time. 8192 outputs suit about 120,000 images;
  change this number in proportion.
"""

_base_ = './saip_vit-tiny.py'

model = dict(matching=dict(out_channels=8192), loss_weights=dict(matching=0.03))
train_dataloader = dict(
    batch_size=256, dataset=dict(data_root='data/people', ann_file='')
)
optim_wrapper = dict(
    optimizer=dict(lr=1.5e-3),
    clip_grad=dict(max_norm=3.0),
    paramwise_cfg=dict(custom_keys=dict(matching=dict(lr_mult=0.25))),
)
default_hooks = dict(
    saip=dict(
        momentum=0.99,
        end_momentum=0.998,
        base_batch_size=256,
        max_initial_share=0.001,
    )
)

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=5, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=100)
