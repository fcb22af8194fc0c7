"""Boxes of people in COCO's format, in small images, for configs in transfer/."""

boxes_size = (256, 256)
boxes_read = [dict(type='ReadImage'), dict(type='LoadAnnotations', with_bbox=True)]
boxes = dict(data_root='data/boxes', data_prefix=dict(img=''))
boxes_train = [
    *boxes_read,
    dict(
        type='RandomResize', scale=boxes_size, ratio_range=(0.8, 1.6), keep_ratio=True
    ),
    dict(type='RandomCrop', crop_size=boxes_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
boxes_test = [
    *boxes_read,
    dict(type='Resize', scale=boxes_size, keep_ratio=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
boxes_hooks = [dict(type='mmdet.NumClassCheckHook')]
boxes_loaders = dict(
    train=dict(
        batch_size=8,
        num_workers=2,
        dataset=dict(**boxes, ann_file='train.json', pipeline=boxes_train),
    ),
    test=dict(
        batch_size=1,  # larger batches are padded, which changes the answers of ViTs
        num_workers=2,
        dataset=dict(**boxes, ann_file='test.json', pipeline=boxes_test),
    ),
)
