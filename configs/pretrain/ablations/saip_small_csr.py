"""saip_small.py with cross-scale reconstruction only."""

_base_ = ['../saip_small.py']

model = dict(matching=None, search=None)
find_unused_parameters = True  # the last blocks get no gradient
