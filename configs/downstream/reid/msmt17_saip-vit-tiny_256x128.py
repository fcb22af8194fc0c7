"""Re-identification on MSMT17 with a pretrained ViT-Tiny.

Expected: rank-1 75.7 % ("Ours") and 83.1 % ("Ours*") are the SAIP authors' figures,
read off arXiv 2503.08201, after pretraining on LUPerson. This project has not measured
it. The protocol is in configs/_base_/reid_256x128.py; its label smoothing and the
comparison of features after the batch norm are not among what the authors state.

Data: MSMT17 (Wei et al., CVPR 2018) is given out by its authors on a signed agreement,
pkuvmc.com/dataset.html. The first version, unpacked:

    data/MSMT17_V1/train/           32,621 images of 1,041 people
    data/MSMT17_V1/test/            93,820 images of 3,060 people
    data/MSMT17_V1/list_train.txt   and list_val.txt: trained with both
    data/MSMT17_V1/list_query.txt   and list_gallery.txt

The second release, MSMT17_V2, has mask_train_v2/ and mask_test_v2/ instead of train/
and test/, and is read as well; set data_root of the three data sets to it.

Run, with a backbone by tools/export_backbone.py:

    python tools/train.py configs/downstream/reid/msmt17_saip-vit-tiny_256x128.py \
        --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth
    python tools/test.py configs/downstream/reid/msmt17_saip-vit-tiny_256x128.py \
        work_dirs/msmt17_saip-vit-tiny_256x128
"""

_base_ = '../../_base_/reid_256x128.py'

msmt17 = dict(type='MSMT17', data_root='data/MSMT17_V1')
model = dict(head=dict(num_classes=1041))
train_dataloader = dict(dataset=msmt17)
val_dataloader = dict(dataset=msmt17)
test_dataloader = dict(dataset=msmt17)
