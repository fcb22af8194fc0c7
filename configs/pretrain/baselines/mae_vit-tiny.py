"""MAE (arXiv 2111.06377) in the setting of saip_vit-tiny.py, on rectangles.

This is SAIP's reconstruction without anchor and enlargement. The decoder reads the last
block, and the norm of middle tokens serves as MAE's final norm. Positions are learned,
and views have SAIP's colors and blur.
"""

_base_ = '../saip_vit-tiny.py'

model = dict(
    data_preprocessor=dict(csr_scale=1.0),
    backbone=dict(middle_block=11),
    matching=None,
    reconstruction=dict(anchor=False),
    search=None,
)
draw, apply = _base_.train_dataloader.dataset.pipeline
draw.update(global_0=None, local=None, scene=None)  # for one view
train_dataloader = dict(dataset=dict(pipeline=[draw, apply]))
find_unused_parameters = True  # the backbone's own final norm gets no gradient
