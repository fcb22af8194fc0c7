"""saip_small.py with matching and reconstruction, without search."""

_base_ = ['../saip_small.py']

model = dict(search=None)
