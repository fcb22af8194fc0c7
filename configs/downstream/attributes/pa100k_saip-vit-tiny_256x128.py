"""Pedestrian attributes of PA-100K with a pretrained ViT-Tiny.

Expected: mA 80.7 % ("Ours") and 82.7 % ("Ours*") are the SAIP authors' figures, read
off arXiv 2503.08201, after pretraining on LUPerson. This project has not measured it.
configs/_base_/attributes_256x128.py says which settings are not stated by them.

Data: PA-100K (Liu et al., ICCV 2017) is given out by its authors,
github.com/xh-liu/HydraPlus-Net. Unpacked:

    data/PA100k/annotation.mat   80,000 / 10,000 / 10,000 images, 26 attributes
    data/PA100k/data/            000001.jpg to 100000.jpg (or release_data/release_data)

Run, with a backbone by tools/export_backbone.py:

    python tools/train.py \
        configs/downstream/attributes/pa100k_saip-vit-tiny_256x128.py \
        --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth
    python tools/test.py \
        configs/downstream/attributes/pa100k_saip-vit-tiny_256x128.py \
        work_dirs/pa100k_saip-vit-tiny_256x128

From scratch: `--cfg-options model.backbone.init_cfg=None`.
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
# The last checkpoint counts; the figures on the way are of the test set.
train_cfg = dict(by_epoch=True, max_epochs=30, val_interval=10)
