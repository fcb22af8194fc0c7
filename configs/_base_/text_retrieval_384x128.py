"""Text-to-image person retrieval with ViT-Tiny: model, images, optimizer, schedule.

IRRA (Jiang and Ye, CVPR 2023) with another image encoder, as by SAIP's authors: batches
of 128 captions with their images, 60 epochs of Adam with a large epsilon, 5 of them
warm-up, then cosine decay to 0. CLIP's text encoder is trained, too. Differences: norms
are not decayed, biases of cross-attention learn 5 instead of 2 times as fast, and
batches of several processes are matched as one. As in IRRA, images
are normalized by CLIP's mean and deviation, although the backbone was pretrained with
ImageNet's.

    data/CLIP/ViT-B-16.pt    OpenAI's model (github.com/openai/CLIP), also as published
                             on Hugging Face, or OpenCLIP's ViT-B-16 with
                             `model.text.quick_gelu=False`

Without it, the text encoder starts from random weights: `model.text.init_cfg=None`.
"""

_base_ = 'people_256x128.py'

custom_imports = dict(
    imports=['saip_mm', 'saip_mm.downstream.text_retrieval'],
    allow_failed_imports=False,
)

# CLIP's, in RGB.
mean = (122.7709, 116.7460, 104.0937)
size = (384, 128)
model = dict(
    type='TextRetriever',
    data_preprocessor=dict(mean=mean, std=(68.5005, 66.6322, 70.3232)),
    backbone=dict(img_size=size),
    text=dict(
        type='CLIPText',
        width=512,
        num_layers=12,
        out_channels=512,
        init_cfg=dict(type='Pretrained', checkpoint='data/CLIP/ViT-B-16.pt'),
    ),
    temperature=0.02,
    mlm=dict(type='MaskedLanguageHead', num_blocks=4, mask_ratio=0.15),
)

resize = dict(type='Resize', scale=size[::-1], interpolation='bicubic')
train_pipeline = [
    dict(type='ReadImage'),
    resize,
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomCrop', crop_size=size, padding=10),
    dict(
        type='RandomErasing',
        erase_prob=0.5,
        min_area_ratio=0.02,
        max_area_ratio=0.4,
        mode='const',
        fill_color=mean[::-1],
    ),
    dict(type='TokenizeCaptions'),
    dict(type='PackInputs', algorithm_keys=('tokens',)),
]
test_pipeline = [
    dict(type='ReadImage'),
    resize,
    dict(type='TokenizeCaptions'),
    dict(type='PackInputs', algorithm_keys=('tokens',)),
]
train_dataloader = dict(
    batch_size=128,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(split='train', pipeline=train_pipeline),
)
auto_scale_lr = dict(base_batch_size=128)
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
# Checkpoints are compared on people for validation. The authors choose the best on the
# test set.
val_dataloader = dict(dataset=dict(split='val', pipeline=test_pipeline))
test_evaluator = dict(type='TextRetrievalMetric')
val_evaluator = test_evaluator
best = dict(save_best='text_retrieval/rank1', rule='greater')
default_hooks = dict(checkpoint=best)

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-4, eps=1e-3, weight_decay=4e-5),
    constructor='WeightDecayGroups',
    paramwise_cfg=dict(
        no_decay=[],
        custom_keys=dict(
            bias=dict(lr_mult=2.0, decay_mult=0.0),
            cross=dict(lr_mult=5.0),
            classifier=dict(lr_mult=5.0),
            mlm_head=dict(lr_mult=5.0),
        ),
    ),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=5, end=60, convert_to_iter_based=True),
]
train_cfg = dict(by_epoch=True, max_epochs=60, val_interval=1)
# All processes test with, and save, the same batch-norm statistics.
custom_hooks = [dict(type='SyncBuffersHook')]
