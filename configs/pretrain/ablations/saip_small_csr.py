"""saip_small.py with cross-scale reconstruction only."""

_base_ = ['../saip_small.py']

model = dict(matching=None, search=None, every_nth=None)
draw, apply = _base_.train_dataloader.dataset.pipeline
draw.update(local=None, scene=None)
train_dataloader = dict(dataset=dict(pipeline=[draw, apply]))
find_unused_parameters = True  # the last blocks get no gradient
