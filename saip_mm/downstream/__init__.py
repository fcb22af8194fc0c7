"""Components for downstream tasks that OpenMMLab's libraries lack.

`import saip_mm` imports no task. A config imports what it needs, as in
`custom_imports = dict(imports=['saip_mm', 'saip_mm.downstream.reid'])`.
"""
