"""Pedestrian attributes of PETA, zero-shot split, with a pretrained ViT-Tiny.

Nobody is in both training and test set, so that an attribute cannot be recognised by
the person.

Expected: mA 71.4 % ("Ours") and 72.4 % ("Ours*") are the SAIP authors' figures, read
off arXiv 2503.08201, after pretraining on LUPerson. This project has not measured it.
configs/_base_/attributes_256x128.py says which settings are not stated by them.

Data: PETA (Deng et al., ACM MM 2014) with its images renumbered, as linked by
github.com/dangweili/pedestrian-attribute-recognition-pytorch, and the split by Jia et
al., github.com/valencebond/Rethinking_of_PAR, which comes as a pickle. The docstring of
saip_mm.downstream.attributes.PETA says how to make the list of it.

    data/PETA/images/          00001.png to 19000.png
    data/PETA/PETA.mat         105 attributes, of which 35 count
    data/PETA/zero_shot.txt    lines such as `00001.png train`

The authors' archive, mmlab.ie.cuhk.edu.hk/projects/PETA.html, is read as well, with a
split of your own:

    data/PETA/VIPeR/archive/   images, Label.txt; nine more subsets like it
    data/PETA/zero_shot.txt    lines such as `VIPeR/archive/0001_a.bmp train`

Run, with a backbone by tools/export_backbone.py:

    python tools/train.py \
        configs/downstream/attributes/peta-zs_saip-vit-tiny_256x128.py \
        --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth
    python tools/test.py \
        configs/downstream/attributes/peta-zs_saip-vit-tiny_256x128.py \
        work_dirs/peta-zs_saip-vit-tiny_256x128

From scratch: `--cfg-options model.backbone.init_cfg=None`.
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
# The last checkpoint counts; the figures on the way are of the test set.
train_cfg = dict(by_epoch=True, max_epochs=22, val_interval=11)
