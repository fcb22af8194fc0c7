"""MAE in the setting of saip_small.py; see mae_vit-tiny.py."""

_base_ = '../saip_small.py'

model = dict(
    data_preprocessor=dict(csr_scale=1.0),
    backbone=dict(middle_block=5),
    matching=None,
    reconstruction=dict(anchor=False),
    search=None,
    every_nth=None,
)
draw, apply = _base_.train_dataloader.dataset.pipeline
draw.update(global_0=None, local=None, scene=None)  # for one view
train_dataloader = dict(dataset=dict(pipeline=[draw, apply]))
find_unused_parameters = True  # the backbone's own final norm gets no gradient
