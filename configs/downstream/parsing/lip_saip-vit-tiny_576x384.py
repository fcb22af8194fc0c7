"""Human parsing on LIP with a SAIP ViT-Tiny and UPerNet, 576×384.

Expected result: mIoU 52.4 ("Ours") or 55.2 ("Ours*"), as read off the authors' figures
(arXiv 2503.08201); not measured by this project. Size, epochs and AdamW at 7e-4 are
those of the authors, who use another decoder and test at several scales with flips.
Augmentation, weight decay, warm-up and polynomial decay are this project's choice.

    tools/dist_train.sh configs/downstream/parsing/lip_saip-vit-tiny_576x384.py 8 \
        --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth

To test at several scales and with flips, as the authors do:

    python tools/test.py configs/downstream/parsing/lip_saip-vit-tiny_576x384.py \
        work_dirs/lip_saip-vit-tiny_576x384 --tta

Data: data/LIP with TrainVal_images/{train,val}_images and
TrainVal_parsing_annotations/{train,val}_segmentations (sysu-hcp.net/lip). Where the
archives repeat a folder (TrainVal_images/TrainVal_images), move its content up.
"""

# Not 'mmseg::…', which MMEngine resolves for one distribution name only.
_base_ = f'{__import__("mmseg").__path__[0]}/.mim/configs/upernet/upernet_r50_4xb4-80k_ade20k-512x512.py'  # noqa: E501

custom_imports = dict(
    imports=['saip_mm', 'saip_mm.downstream.parsing', 'saip_mm.downstream.pyramid']
)

size = (576, 384)
scale = (384, 576)  # (w, h), as the transforms expect
left_right = [(14, 15), (16, 17), (18, 19)]

channels = [48, 96, 192, 192]
norm = dict(_delete_=True, type='GN', num_groups=32)
model = dict(
    pretrained=None,
    data_preprocessor=dict(size=size),
    backbone=dict(
        _delete_=True,
        type='mmpretrain.SAIPViT',
        img_size=size,
        init_cfg=dict(type='Pretrained', checkpoint='backbone.pth'),
    ),
    neck=dict(type='mmpretrain.ViTPyramid', in_channels=192),
    decode_head=dict(in_channels=channels, channels=256, num_classes=20, norm_cfg=norm),
    auxiliary_head=dict(in_channels=192, num_classes=20, norm_cfg=norm),
)
tta_model = dict(type='ParsingTTAModel', swap_seg_labels=left_right)

load_labels = [
    dict(type='LoadAnnotations'),
    dict(type='CheckLabels', num_classes=20),
]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    *load_labels,
    dict(type='RandomResize', scale=scale, ratio_range=(0.75, 1.25)),
    dict(type='RandomCrop', crop_size=size),
    dict(type='RandomFlip', prob=0.5, swap_seg_labels=left_right),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale),
    *load_labels,
    dict(type='PackSegInputs'),
]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='Resize', scale=each)
                for each in ((288, 432), scale, (480, 720))
            ],
            [dict(type='RandomFlip', prob=prob) for prob in (0.0, 1.0)],
            *([step] for step in load_labels),
            [dict(type='PackSegInputs')],
        ],
    ),
]

images, labels = 'TrainVal_images', 'TrainVal_parsing_annotations'
dataset = dict(type='LIPDataset', data_root='data/LIP')
auto_scale_lr = dict(base_batch_size=64)
train_dataloader = dict(
    batch_size=8,
    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True),
    dataset=dict(
        **dataset,
        data_prefix=dict(
            img_path=f'{images}/train_images',
            seg_map_path=f'{labels}/train_segmentations',
        ),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        **dataset,
        data_prefix=dict(
            img_path=f'{images}/val_images', seg_map_path=f'{labels}/val_segmentations'
        ),
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader

optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=7e-4, weight_decay=0.05),
    constructor='mmpretrain.WeightDecayGroups',
    paramwise_cfg=dict(no_decay=['cls_token', 'pos_embed']),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, end=500),
    dict(type='PolyLR', power=0.9, end=150, convert_to_iter_based=True),
]
train_cfg = dict(
    _delete_=True, type='EpochBasedTrainLoop', max_epochs=150, val_interval=10
)
default_hooks = dict(
    checkpoint=dict(by_epoch=True, interval=10), logger=dict(log_metric_by_epoch=True)
)
log_processor = dict(by_epoch=True)
