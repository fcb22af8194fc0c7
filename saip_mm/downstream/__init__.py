"""Pieces of downstream tasks that OpenMMLab's libraries lack.

`import saip_mm` imports none of the tasks: a config that needs one names it, as in
`custom_imports = dict(imports=['saip_mm', 'saip_mm.downstream.reid'])`.
"""
