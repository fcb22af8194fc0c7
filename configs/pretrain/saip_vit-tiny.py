"""The SAIP recipe (arXiv 2503.08201) for ViT-Tiny: 300 epochs of 1 M person images.

Data: LUPerson as a folder tree of person crops in data/LUPerson. The paper uses a
random quarter of its 4 M images. To list such a quarter, run

    (cd data/LUPerson && find . -name '*.jpg' | sort | shuf -n 1000000 > quarter.txt)

Run on 8 GPUs (global batch 8 × 256 = 2048, so a learning rate of 2e-3):

    tools/dist_train.sh configs/pretrain/saip_vit-tiny.py 8

If memory runs out, `--cfg-options optim_wrapper.accumulative_counts=4` computes each
batch in four parts with the same result. This project has not run the full recipe;
docs/model_zoo.md lists the results that the authors report.
"""

_base_ = ['../_base_/saip_vit-tiny.py', '../_base_/default_runtime.py']

train_dataloader = dict(dataset=dict(data_root='data/LUPerson', ann_file='quarter.txt'))

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, end=10, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=10, convert_to_iter_based=True),
]
train_cfg = dict(type='AccumulatingTrainLoop', max_epochs=300)
