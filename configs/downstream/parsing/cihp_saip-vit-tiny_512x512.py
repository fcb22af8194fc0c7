"""Semantic human parsing on CIHP with a SAIP ViT-Tiny and UPerNet, crops of 512×512.

Images show several people and are mostly wide, so their aspect ratio is kept.

Expected result: mIoU 48.2 ("Ours") or 49.2 ("Ours*"), as read off the authors' figures
(arXiv 2503.08201); not measured by this project. The authors use another decoder and do
not state settings for CIHP: the size is this project's choice, the schedule LIP's.

    tools/dist_train.sh configs/downstream/parsing/cihp_saip-vit-tiny_512x512.py 8 \
        --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth

Data: data/CIHP with {Training,Validation}/{Images,Category_ids}, the content of
instance-level_human_parsing in the archive (sysu-hcp.net/lip).
"""

_base_ = 'lip_saip-vit-tiny_576x384.py'

size = (512, 512)
scale = (1024, 512)  # upper limits of the long and the short side

model = dict(
    data_preprocessor=dict(size=size, test_cfg=dict(size_divisor=16)),
    backbone=dict(img_size=size),
)

load_labels = _base_.load_labels
train_pipeline = [
    dict(type='LoadImageFromFile'),
    *load_labels,
    dict(type='RandomResize', scale=scale, ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=size, cat_max_ratio=0.9),
    dict(type='RandomFlip', prob=0.5, swap_seg_labels=_base_.left_right),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale, keep_ratio=True),
    *load_labels,
    dict(type='PackSegInputs'),
]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='Resize', scale=each, keep_ratio=True)
                for each in ((768, 384), scale, (1280, 640))
            ],
            [dict(type='RandomFlip', prob=prob) for prob in (0.0, 1.0)],
            *([step] for step in load_labels),
            [dict(type='PackSegInputs')],
        ],
    ),
]
cihp = dict(type='CIHPDataset', data_root='data/CIHP')
train_dataloader = dict(
    dataset=dict(
        **cihp,
        data_prefix=dict(
            img_path='Training/Images', seg_map_path='Training/Category_ids'
        ),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        **cihp,
        data_prefix=dict(
            img_path='Validation/Images', seg_map_path='Validation/Category_ids'
        ),
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader
