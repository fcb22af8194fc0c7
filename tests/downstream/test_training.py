"""Configs of MMPose, MMDetection and MMSegmentation train and test on drawn people.

With the tools of this project and with the launchers of the libraries.
"""

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from launch import ROOT, call, run, run_two
from written_formats import write

from saip_mm.training.config import load_config

for library in ('mmdet', 'mmpose', 'mmseg'):
    pytest.importorskip(library)


@dataclass
class Case:
    """A config, the format and folder of its data, a metric, and options for a test."""

    library: str
    config: str
    data: str
    folder: str
    metric: str
    options: tuple[str, ...]

    @property
    def path(self) -> Path:
        return ROOT / 'configs' / 'downstream' / f'{self.config}.py'


def scale(size: str, **places: int) -> tuple[str, ...]:
    """Options that set the scale of a step, by index, of each split's pipeline."""
    return tuple(
        f'{split}_dataloader.dataset.pipeline.{index}.scale={size}'
        for split, index in places.items()
    )


def parsing(crop: str, size: str) -> tuple[str, ...]:
    """Options for small images (w, h) and crops (h, w)."""
    return (
        *scale(size, train=3, val=1, test=1),
        f'train_dataloader.dataset.pipeline.4.crop_size={crop}',
        f'model.data_preprocessor.size={crop}',
        'train_dataloader.batch_size=2',
        *(f'tta_pipeline.1.transforms.0.{i}.scale={size}' for i in range(3)),
    )


FEW = ('train_dataloader.batch_size=4',)
CROWD_SIZES = (
    *scale('(224,160)', val=1, test=1),
    'model.data_preprocessor.batch_augments.0.scale=(224,160)',
    'val_evaluator.num_ji_process=1',
    'test_evaluator.num_ji_process=1',
)
BOX_SIZES = scale('(224,160)', train=2, val=1, test=1)
PART_SIZES = (
    *scale('(96,128)', train=3, val=1, test=1),
    'model.train_cfg.rpn_proposal.max_per_img=20',
    'model.train_cfg.rcnn.sampler.num=16',
    'model.roi_head.max_parts=2',
    'model.test_cfg.rpn.max_per_img=20',
    'model.test_cfg.rcnn.score_thr=0.0',
    'model.test_cfg.rcnn.max_per_img=4',
    'train_dataloader.batch_size=4',
)
POSE, _, _, _, PARSING, _, PARTS, _ = CASES = [
    Case(*case)
    for case in (
        ('mmpose', 'pose/coco_saip-vit-tiny_256x192', 'coco', 'coco', 'coco/AP', FEW),
        ('mmpose', 'pose/coco-wholebody_saip-vit-tiny_256x192', 'coco-wholebody',
         'coco', 'coco-wholebody/AP', FEW),
        ('mmdet', 'detection/coco-person_faster-rcnn_saip-vit-tiny', 'coco',
         'coco', 'coco/bbox_mAP', BOX_SIZES),
        ('mmdet', 'detection/crowdhuman_crowddet_saip-vit-tiny', 'crowdhuman',
         'CrowdHuman', 'crowd_human/mAP', CROWD_SIZES),
        ('mmseg', 'parsing/lip_saip-vit-tiny_576x384', 'lip',
         'LIP', 'mIoU', parsing('(96,64)', '(64,96)')),
        ('mmseg', 'parsing/cihp_saip-vit-tiny_512x512', 'cihp',
         'CIHP', 'mIoU', parsing('(96,96)', '(128,96)')),
        ('mmdet', 'part_attributes/fashionpedia_ke-rcnn_saip-vit-tiny',
         'fashionpedia', 'fashionpedia', 'fashionpedia/segm_AP_IoU_F1', PART_SIZES),
        ('mmdet',
         'part_attributes/fashionpedia_attribute-mask-rcnn_saip-vit-tiny',
         'fashionpedia', 'fashionpedia', 'fashionpedia/segm_AP_IoU_F1', PART_SIZES),
    )
]  # fmt: skip


def options(case: Case, backbone: Path, folder: Path) -> list[str]:
    """Write the data of a case; returns options for a short training."""
    write(case.data, folder / 'data' / case.folder, num=4)
    short = [
        f'model.backbone.init_cfg.checkpoint={backbone}',
        'train_cfg.max_epochs=1',
        'train_cfg.val_interval=9',
        'default_hooks.checkpoint.interval=1',
        'default_hooks.checkpoint.save_best=None',
    ]
    for split in ('train', 'val', 'test'):
        short.append(f'{split}_dataloader.num_workers=0')
        short.append(f'{split}_dataloader.persistent_workers=False')
    return ['--cfg-options', *short, *case.options]


def metrics(folder: Path) -> dict:
    """Metrics of a test in a work directory."""
    (path,) = folder.glob('*/*.json')
    return json.loads(path.read_text())


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.path.stem)
def test_train_and_test(case, backbone, tmp_path, capfd):
    more = options(case, backbone, tmp_path)
    run_dir, test_dir = tmp_path / 'run', tmp_path / 'test'
    call('tools/train.py', case.path, '--work-dir', run_dir, *more, cwd=tmp_path)
    out = capfd.readouterr()
    assert '150 of 150 tensors matched' in out.out + out.err
    arguments = ['tools/test.py', case.path, run_dir, '--work-dir', test_dir]
    tta = ['--tta'] if case is PARSING else []
    call(*arguments, *tta, *more, cwd=tmp_path)
    assert 0 <= metrics(test_dir)[case.metric] <= 100


@pytest.mark.parametrize(
    'case', [POSE, PARSING, PARTS], ids=lambda case: case.path.stem
)
def test_launchers_of_the_libraries(case, backbone, tmp_path):
    more = options(case, backbone, tmp_path)
    tools = Path(find_spec(case.library).origin).parent / '.mim' / 'tools'
    run_dir, test_dir = tmp_path / 'run', tmp_path / 'test'
    config = tmp_path / 'config.py'
    imports = [*load_config(str(case.path), {}).custom_imports.imports, 'cpu_processes']
    config.write_text(
        f'_base_ = {str(case.path)!r}\n'
        f'custom_imports = dict(imports={imports})\n'
        "env_cfg = dict(dist_cfg=dict(backend='gloo'))\n"
        "model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None)\n"
    )
    arguments = [config, '--work-dir', run_dir, '--launcher', 'pytorch', *more]
    run_two(tools / 'train.py', *arguments, cwd=tmp_path)
    scalars = [path.read_text() for path in run_dir.glob('*/vis_data/scalars.json')]
    assert '"loss"' in ''.join(scalars)

    checkpoint = run_dir / 'epoch_1.pth'
    arguments = [tools / 'test.py', case.path, checkpoint, '--work-dir', test_dir]
    call(*arguments, *more, cwd=tmp_path)
    one = metrics(test_dir)[case.metric]
    if case is POSE:  # two processes of ours measure the same
        arguments = [case.path, checkpoint, 2, '--work-dir', tmp_path / 'two', *more]
        env = dict(CUDA_VISIBLE_DEVICES='')
        run(ROOT / 'tools/dist_test.sh', *arguments, cwd=tmp_path, **env)
        assert metrics(tmp_path / 'two')[case.metric] == one
