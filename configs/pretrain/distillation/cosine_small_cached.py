"""cosine_small.py with the same views in every epoch: the teacher sees each once.

    python tools/train.py configs/pretrain/distillation/cosine_small_cached.py \
        --cfg-options train_dataloader.dataset.data_root=data/people

From the second epoch on, the teacher's outputs are read from the cache (194 KiB per
image, for two views). With `view_epochs=4`, views repeat every four epochs.
"""

_base_ = './cosine_small.py'

model = dict(distillation=dict(teacher=dict(cache='work_dirs/teacher_cache')))
train_dataloader = dict(sampler=dict(view_epochs=1))
