"""Nothing but the cosines of saip-star_small.py: plain distillation, for comparison."""

_base_ = './saip-star_small.py'

model = dict(
    matching=None,
    reconstruction=None,
    search=None,
    distillation=dict(attention_weight=0),
)
find_unused_parameters = True  # the norm of middle tokens gets no gradient
