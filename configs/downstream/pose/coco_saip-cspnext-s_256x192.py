"""COCO keypoints with a CSPNeXt-S; see coco_saip-vit-tiny_256x192.py.

Expected result: AP 72.3 ("Ours*"), as read off the authors' figures (arXiv 2503.08201);
not measured by this project. The map has a stride of 32, so the head has a third
deconvolution. Layer decay, which is for ViTs, is omitted.
"""

_base_ = ['coco_saip-vit-tiny_256x192.py', '../../_base_/cspnext-s.py']

custom_imports = dict(_delete_=True, imports=['saip_mm', 'saip_mm.models.cspnext'])

model = dict(
    backbone=dict(_base_.cspnext_s, _delete_=True, img_size=(256, 192)),
    head=dict(
        in_channels=512,
        deconv_out_channels=(256, 256, 256),
        deconv_kernel_sizes=(4, 4, 4),
    ),
)
optim_wrapper = dict(
    constructor='mmpretrain.WeightDecayGroups',
    paramwise_cfg=dict(_delete_=True, no_decay=[]),
)
