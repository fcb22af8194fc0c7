"""Pedestrian attributes of PA-100K with a pretrained ViT-Tiny.

Expected result: mA 80.7 % ("Ours") or 82.7 % ("Ours*") after pretraining on LUPerson,
as read off the authors' figures (arXiv 2503.08201); not measured by this project.
configs/_base_/attributes_256x128.py lists the settings that the authors do not state.

Data: PA-100K (Liu et al., ICCV 2017), distributed by its authors at
github.com/xh-liu/HydraPlus-Net. Unpacked:

    data/PA100k/annotation.mat   80,000 / 10,000 / 10,000 images, 26 attributes
    data/PA100k/data/            000001.jpg to 100000.jpg

or, as in the archives, annotation/annotation.mat and release_data/release_data/.

Run with a backbone from tools/export_backbone.py:

    python tools/train.py \
        configs/downstream/attributes/pa100k_saip-vit-tiny_256x128.py \
        --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth
    python tools/test.py \
        configs/downstream/attributes/pa100k_saip-vit-tiny_256x128.py \
        work_dirs/pa100k_saip-vit-tiny_256x128

To train from scratch: `--cfg-options model.backbone.init_cfg=None`.
"""

_base_ = '../../_base_/attributes_256x128.py'

pa100k = dict(type='PA100K', data_root='data/PA100k')
model = dict(head=dict(num_classes=26))
train_dataloader = dict(dataset=pa100k)
val_dataloader = dict(dataset=pa100k)
test_dataloader = dict(dataset=pa100k)

param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=1, end=30, convert_to_iter_based=True),
]
# The last checkpoint counts; intermediate results are measured on the test set.
train_cfg = dict(by_epoch=True, max_epochs=30, val_interval=10)
