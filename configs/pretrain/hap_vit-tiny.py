"""HAP (arXiv 2310.20695) for ViT-Tiny: 400 epochs of 2.1 M person images.

HAP is another method, for comparison, here from random weights instead of MAE's. Its
masks prefer body parts, so it needs keypoints. Data: half of LUPerson as person crops
in data/LUPerson, a list of these crops, and keypoints in COCO's format from any MMPose
model for COCO keypoints (the paper uses ViTPose):

    (cd data/LUPerson && find . -name '*.jpg' | sort | shuf -n 2100000 > half.txt)
    python tools/make_keypoints.py data/LUPerson CONFIG WEIGHTS --list half.txt

Run on 16 GPUs (global batch 16 × 256 = 4096, so a learning rate of 2.4e-3):

    GPUS=16 tools/slurm_train.sh \
        PARTITION hap configs/pretrain/hap_vit-tiny.py work_dirs/hap

The alignment loss compares the images of a micro-batch with each other. Unlike in SAIP,
`optim_wrapper.accumulative_counts` therefore changes the result. This project has not
run the full recipe.
"""

_base_ = ['../_base_/saip_vit-tiny.py', '../_base_/default_runtime.py']

global_size = (256, 128)  # (h, w) in pixels

model = dict(
    _delete_=True,
    type='HAP',
    data_preprocessor=dict(
        type='HAPDataPreprocessor',
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
    ),
    backbone=dict(
        type='SAIPViT',
        arch='deit-tiny',
        img_size=global_size,
        middle_block=11,
        fixed_positions=True,
    ),
    decoder=dict(
        type='CrossScaleReconstructionHead',
        in_channels=192,
        embed_dims=512,
        num_blocks=8,
        num_heads=16,
        img_size=global_size,
        anchor=False,
    ),
    align_weight=0.05,
    temperature=0.2,
)

train_pipeline = [
    dict(
        type='DrawMaskedView',
        size=global_size,
        mask_ratio=0.5,
        area=(0.8, 1.0),
        aspect=(0.375, 2 / 3),
        flip=0.5,
    ),
    dict(type='ApplyMaskedView'),
]
train_dataloader = dict(
    dataset=dict(
        data_root='data/LUPerson',
        ann_file='half.txt',
        keypoints='keypoints.json',
        pipeline=train_pipeline,
    )
)

optim_wrapper = dict(optimizer=dict(lr=1.5e-4))
default_hooks = dict(saip=None)  # there is no teacher
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, end=40, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=40, convert_to_iter_based=True),
]
train_cfg = dict(type='AccumulatingTrainLoop', max_epochs=400)
