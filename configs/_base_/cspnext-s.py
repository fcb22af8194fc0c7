"""The backbone of configs with a CSPNeXt-S, without its image size."""

cspnext_s = dict(
    type='mmpretrain.SAIPCSPNeXt',
    deepen_factor=0.33,
    widen_factor=0.5,
    out_indices=(4,),
    init_cfg=dict(type='Pretrained', checkpoint='backbone.pth'),
)
# Four maps of strides 4 to 32.
cspnext_s_pyramid = dict(cspnext_s, out_indices=(1, 2, 3, 4))
sync_bn = 'torch'  # on several GPUs, whose batches are small in detection
