"""Label maps of people, fine-tuned from a small SAIP.

    python tools/train.py configs/transfer/parsing_saip-small.py \
        --cfg-options \
        train_dataloader.dataset.data_root=data/parsing \
        test_dataloader.dataset.data_root=data/parsing

`data/parsing` has train/images, train/labels/*.png, test/images and test/labels.
The classes are those of Clothing Co-Parsing; set `classes` to your own in a copy of
this file (configs that inherit from it keep its classes). If they distinguish left from
right, add pairs of their numbers to RandomFlip, as in swap_seg_labels=[(14, 15)].
"""

_base_ = [
    '../downstream/parsing/lip_saip-vit-tiny_576x384.py',
    '../_base_/fine_tuning.py',
]

size = (160, 112)
scale = (112, 160)  # (w, h), as the transforms expect
classes = (  # noqa: SIM905
    'background accessories bag belt blazer blouse bodysuit boots bra bracelet cape '
    'cardigan clogs coat dress earrings flats glasses gloves hair hat heels hoodie '
    'intimate jacket jeans jumper leggings loafers necklace panties pants pumps purse '
    'ring romper sandals scarf shirt shoes shorts skin skirt sneakers socks stockings '
    'suit sunglasses sweater sweatshirt swimwear t-shirt tie tights top vest wallet '
    'watch wedges'
).split()
num_classes = len(classes)
model = dict(
    data_preprocessor=dict(size=size),
    backbone=dict(
        arch=_base_.small_vit,
        img_size=size,
        patch_size=8,
        init_cfg=dict(checkpoint='saip-small'),
    ),
    neck=None,
    decode_head=dict(
        _delete_=True,
        type='FCNHead',
        in_channels=96,
        in_index=0,
        channels=96,
        num_convs=1,
        concat_input=False,
        num_classes=num_classes,
        norm_cfg=dict(type='GN', num_groups=8),
    ),
    auxiliary_head=None,
)

load_labels = [
    dict(type='LoadAnnotations'),
    dict(type='CheckLabels', num_classes=num_classes),
]
resize = dict(type='Resize', scale=scale, keep_ratio=False)
train_pipeline = [
    dict(type='ReadImage'),
    *load_labels,
    resize,
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='ReadImage'),
    resize,
    *load_labels,
    dict(type='PackSegInputs'),
]
dataset = dict(
    _delete_=True,
    type='LabelMaps',
    data_root='data/parsing',
    metainfo=dict(classes=classes),
)
folders = {
    split: dict(img_path=f'{split}/images', seg_map_path=f'{split}/labels')
    for split in ('train', 'test')
}
loader = dict(batch_size=16, num_workers=2)
train_dataloader = dict(
    **loader,
    dataset=dict(**dataset, data_prefix=folders['train'], pipeline=train_pipeline),
)
test_dataloader = dict(
    **loader,
    dataset=dict(**dataset, data_prefix=folders['test'], pipeline=test_pipeline),
)
val_dataloader = val_cfg = val_evaluator = None

tta_model = tta_pipeline = None  # those of LIP swap its left and right labels
auto_scale_lr = dict(base_batch_size=16)
# Tuned on other photographs of CCP: mIoU 0.064 instead of 0.029 (0.068 with 30).
optim_wrapper = dict(
    optimizer=dict(lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=3.0),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10))),
)
param_scheduler = _base_.short_schedule
train_cfg = dict(_base_.short_training, _delete_=True)
default_hooks = _base_.short_hooks
log_processor = dict(by_epoch=False)
