"""The SAIP recipe for TinyViT-5M, last stage at stride 16; see saip_vit-tiny.py.

    tools/dist_train.sh configs/pretrain/saip_tinyvit-5m.py 8

The matching token is the mean of the neck's map; search and reconstruction use the
320-channel map before it. Masked patches are replaced by a learned color. There is no
attention over the whole image, and so no attention loss. This project has not run the
full recipe.
"""

_base_ = './saip_vit-tiny.py'

model = dict(
    backbone=dict(_delete_=True, type='SAIPTinyViT', arch='5m', img_size=(256, 128)),
    matching=dict(in_channels=256),
    reconstruction=dict(in_channels=320),
    search=dict(in_channels=320),
)
sync_bn = 'torch'  # on several GPUs, batch statistics of the global batch
