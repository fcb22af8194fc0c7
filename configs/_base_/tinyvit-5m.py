"""The backbone of configs with a TinyViT-5M, without its image size."""

tinyvit_5m = dict(
    type='mmpretrain.SAIPTinyViT',
    init_cfg=dict(type='Pretrained', checkpoint='backbone.pth'),
)
