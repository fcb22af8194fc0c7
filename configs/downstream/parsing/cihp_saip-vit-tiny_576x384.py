"""Semantic human parsing on CIHP with a SAIP ViT-Tiny and UPerNet, 576×384.

Authors' figure (read off arXiv 2503.08201; their decoder is another): mIoU 48.2, 49.2
for the weights that they mark with an asterisk. Not measured by this project.

    tools/dist_train.sh configs/downstream/parsing/cihp_saip-vit-tiny_576x384.py 8 \
        --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth

Data: data/CIHP with {Training,Validation}/{Images,Category_ids} (sysu-hcp.net/lip).
"""

_base_ = 'lip_saip-vit-tiny_576x384.py'

cihp = dict(type='CIHPDataset', data_root='data/CIHP')
train_dataloader = dict(
    dataset=dict(
        **cihp,
        data_prefix=dict(
            img_path='Training/Images', seg_map_path='Training/Category_ids'
        ),
    )
)
val_dataloader = dict(
    dataset=dict(
        **cihp,
        data_prefix=dict(
            img_path='Validation/Images', seg_map_path='Validation/Category_ids'
        ),
    )
)
test_dataloader = val_dataloader
