"""The backbone of configs with a CSPNeXt-S, without its image size."""

cspnext_s = dict(
    type='mmpretrain.SAIPCSPNeXt',
    deepen_factor=0.33,
    widen_factor=0.5,
    out_indices=(4,),
    init_cfg=dict(type='Pretrained', checkpoint='backbone.pth'),
)
