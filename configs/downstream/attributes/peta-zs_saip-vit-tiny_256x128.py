"""Pedestrian attributes of PETA, zero-shot split, with a pretrained ViT-Tiny.

No person is in both training and test set, so attributes cannot be inferred from
identity.

Expected result: mA 71.4 % ("Ours") or 72.4 % ("Ours*") after pretraining on LUPerson,
as read off the authors' figures (arXiv 2503.08201); not measured by this project.
configs/_base_/attributes_256x128.py lists the settings that the authors do not state.

Data: PETA (Deng et al., ACM MM 2014) with renumbered images, as linked by
github.com/dangweili/pedestrian-attribute-recognition-pytorch, and the split of Jia et
al., github.com/valencebond/Rethinking_of_PAR, which is a pickle. The docstring of
saip_mm.downstream.attributes.PETA explains how to convert it to a list.

    data/PETA/images/          00001.png to 19000.png
    data/PETA/PETA.mat         105 attributes, 35 of them evaluated
    data/PETA/zero_shot.txt    lines such as `00001.png train`

Run with a backbone from tools/export_backbone.py:

    python tools/train.py \
        configs/downstream/attributes/peta-zs_saip-vit-tiny_256x128.py \
        --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth
    python tools/test.py \
        configs/downstream/attributes/peta-zs_saip-vit-tiny_256x128.py \
        work_dirs/peta-zs_saip-vit-tiny_256x128

To train from scratch: `--cfg-options model.backbone.init_cfg=None`.
"""

_base_ = '../../_base_/attributes_256x128.py'

peta = dict(type='PETA', data_root='data/PETA')
model = dict(head=dict(num_classes=35))
train_dataloader = dict(dataset=peta)
val_dataloader = dict(dataset=peta)
test_dataloader = dict(dataset=peta)

param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=1, end=22, convert_to_iter_based=True),
]
# The last checkpoint counts; intermediate results are measured on the test set.
train_cfg = dict(by_epoch=True, max_epochs=22, val_interval=11)
