"""The backbone of configs with a TinyViT-5M, without its image size."""

tinyvit_5m = dict(
    type='mmpretrain.SAIPTinyViT',
    init_cfg=dict(type='Pretrained', checkpoint='backbone.pth'),
)
# Four maps of strides 4 to 32.
tinyvit_5m_pyramid = dict(tinyvit_5m, out_indices=(0, 1, 3, 4), neck_stride=32)
sync_bn = 'torch'  # on several GPUs, whose batches are small in detection
