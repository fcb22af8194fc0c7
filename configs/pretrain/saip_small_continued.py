"""Continue the packaged `saip-small` on your images of people, on a laptop.

    tools/dist_train.sh configs/pretrain/saip_small_continued.py 2 --cfg-options \
        train_dataloader.dataset.data_root=data/people

Loss weights are those of saip_small.py. The package contains only the teacher's
backbone: heads start from random weights, which is why the recipe has a warm-up.
"""

_base_ = './saip_small_128x64.py'

model = dict(
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='saip-small')),
    loss_weights=dict(matching=0.3, search=0.3),
)

train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(pipeline=[_base_.draw_views, dict(type='ApplyViews')]),
)

optim_wrapper = dict(optimizer=dict(lr=1e-3))
warmup, cosine = _base_.param_scheduler
param_scheduler = [dict(warmup, end=0.5), dict(cosine, begin=0.5)]
train_cfg = dict(max_epochs=13)
