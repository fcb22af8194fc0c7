"""Re-identification on MSMT17 with a ViT-Small; see msmt17_saip-vit-tiny_256x128.py.

Expected result: not measured by this project, and not reported by the authors.
"""

_base_ = 'msmt17_saip-vit-tiny_256x128.py'

model = dict(backbone=dict(arch='deit-small'), head=dict(in_channels=384))
