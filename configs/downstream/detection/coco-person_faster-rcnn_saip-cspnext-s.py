"""COCO persons, Faster R-CNN, with a CSPNeXt-S.

See coco-person_faster-rcnn_saip-vit-tiny.py. Expected result: not measured by this
project, and not reported by the authors. Layer decay, which is for ViTs, is omitted.
"""

_base_ = ['coco-person_faster-rcnn_saip-vit-tiny.py', '../../_base_/cspnext-s.py']

custom_imports = dict(imports=['saip_mm', 'saip_mm.models.cspnext'])

model = dict(
    backbone=dict(_base_.cspnext_s_pyramid, _delete_=True, img_size=(800, 1344)),
    neck=[dict(_base_.fpn, in_channels=[64, 128, 256, 512])],
)
optim_wrapper = dict(
    constructor='mmpretrain.WeightDecayGroups',
    paramwise_cfg=dict(_delete_=True, no_decay=[]),
)
