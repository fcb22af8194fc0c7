"""A small SAIP (0.7 M parameters) on your images of people, on a laptop.

    python tools/train.py configs/pretrain/saip_small.py --cfg-options \
        train_dataloader.dataset.data_root=data/people

On two cores, two processes are faster: run tools/dist_train.sh … 2 with
train_dataloader.batch_size=16 train_dataloader.num_workers=0 (docs/performance.md).
The recipe is that of saip_small_128x64.py with patches of 16 instead of 8 pixels, which
cost a quarter, smaller batches, more weight on matching, and less on search.
Reconstruction and search learn from every fourth image only, and the time that this
saves goes into more images: better re-identification (docs/comparison.md).
"""

_base_ = './saip_small_128x64.py'

patch_size = 16

model = dict(
    data_preprocessor=dict(patch_size=patch_size),
    backbone=dict(patch_size=patch_size),
    reconstruction=dict(patch_size=patch_size),
    # Against 0.03 and 1: better re-identification (docs/comparison.md).
    loss_weights=dict(matching=0.3, search=0.3),
    every_nth=dict(reconstruction=4, search=4),
)

train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    dataset=dict(
        pipeline=[
            dict(_base_.draw_views, patch_size=patch_size),
            dict(type='ApplyViews'),
        ],
    ),
)

default_hooks = dict(checkpoint=dict(interval=1))
warmup, cosine = _base_.param_scheduler
param_scheduler = [dict(warmup, end=0.5), dict(cosine, begin=0.5)]
train_cfg = dict(max_epochs=5)
