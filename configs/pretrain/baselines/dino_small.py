"""DINO in the setting of saip_small.py; see dino_vit-tiny.py."""

_base_ = '../saip_small.py'

model = dict(
    data_preprocessor=dict(scales=(1.0,)),
    matching=dict(attention=False),
    reconstruction=None,
    search=None,
)
find_unused_parameters = True  # the norm of middle tokens gets no gradient
