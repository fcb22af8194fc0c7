"""Text-to-image person retrieval on RSTPReid with a ViT-Small.

See rstpreid_saip-vit-tiny_384x128.py.
Expected result: not measured by this project, and not reported by the authors.
"""

_base_ = 'rstpreid_saip-vit-tiny_384x128.py'

model = dict(backbone=dict(arch='deit-small'))
