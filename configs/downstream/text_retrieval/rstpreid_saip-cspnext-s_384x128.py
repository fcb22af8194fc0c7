"""Text-to-image person retrieval on RSTPReid with a CSPNeXt-S.

See rstpreid_saip-vit-tiny_384x128.py.
Expected result: not measured by this project, and not reported by the authors.
"""

_base_ = ['rstpreid_saip-vit-tiny_384x128.py', '../../_base_/cspnext-s.py']

custom_imports = dict(
    imports=['saip_mm', 'saip_mm.downstream.text_retrieval', 'saip_mm.models.cspnext']
)

model = dict(backbone=dict(_base_.cspnext_s, _delete_=True, img_size=(384, 128)))
