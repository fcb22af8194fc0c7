"""Pedestrian attributes of PA-100K with a ViT-Small.

See pa100k_saip-vit-tiny_256x128.py. Expected result: not measured by this project, and
not reported by the authors.
"""

_base_ = 'pa100k_saip-vit-tiny_256x128.py'

model = dict(backbone=dict(arch='deit-small'), head=dict(in_channels=384))
