"""COCO-WholeBody (133 keypoints) with a CSPNeXt-S.

See coco-wholebody_saip-vit-tiny_256x192.py. Expected result: AP 52.7 ("Ours*"), as read
off the authors' figures (arXiv 2503.08201); not measured by this project. Adam at 5e-4
is the authors' setting.
"""

_base_ = ['coco-wholebody_saip-vit-tiny_256x192.py', '../../_base_/cspnext-s.py']

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
    optimizer=dict(_delete_=True, type='Adam', lr=5e-4),
)
