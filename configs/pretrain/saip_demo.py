"""A small SAIP on drawn people: 5 to 20 minutes on two CPU cores, without any data.

    python tools/train.py configs/pretrain/saip_demo.py

`make demo` runs it in two processes. Expected result on people unseen in training:
re-identification mAP from 0.03 to 0.09, search IoU 0.52 against 0.15 for a stranger's
query (docs/verification.md). Unlike in the other configs, scenes are drawn as well.
"""

_base_ = './saip_small.py'

model = dict(
    matching=dict(hidden_channels=256),
    # Otherwise the shared blocks follow matching alone in so short a training.
    loss_weights=dict(matching=0.03, search=1.0),
    every_nth=None,
)

draw, apply = _base_.train_dataloader.dataset.pipeline
draw = dict(
    draw,
    num_locals=2,
    global_1=dict(area=(0.5, 1.0), aspect=(0.4, 0.6), blur=0.1),
    local=dict(area=(0.2, 0.6), aspect=(0.4, 0.6), blur=0.5),
    # Drawn people differ mainly in color. With the jitter for photographs, matching
    # would take hours to learn anything else.
    colors=dict(
        jitter=0.8, brightness=0.1, contrast=0.1, saturation=0.1, hue=0.02, gray=0.0
    ),
)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='SyntheticPeople',
        num_identities=1000,
        images_per_identity=3,
        size=_base_.global_size,
        keep=True,
        scenes=dict(
            type='SyntheticScenes',
            num_scenes=1000,
            size=_base_.scene_size,
            max_people=2,
            keep=True,
        ),
        pipeline=[draw, apply],
    ),
)

optim_wrapper = dict(optimizer=dict(fused=True))
default_hooks = dict(
    saip=dict(momentum=0.97, end_momentum=0.99, base_batch_size=32),
    checkpoint=dict(max_keep_ckpts=2),
    # Probes the teacher on held-out drawn people.
    probe=dict(type='ProbeHook', interval=4),
)
warmup, cosine = _base_.param_scheduler
param_scheduler = [dict(warmup, end=1), dict(cosine, begin=1)]
train_cfg = dict(max_epochs=16)
