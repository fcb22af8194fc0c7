"""DINO (arXiv 2104.14294) in the setting of saip_vit-tiny.py.

The matching of SAIP without attention and without scales: of the views `roi` and
`inst`, the first is one more local view, the second a global one of the locals' size.
"""

_base_ = '../saip_vit-tiny.py'

model = dict(
    data_preprocessor=dict(scales=(1.0,)),
    matching=dict(attention=False),
    reconstruction=None,
    search=None,
)
find_unused_parameters = True  # the norm of middle tokens gets no gradient
