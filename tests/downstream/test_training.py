"""Configs of all tasks train and test on drawn people.

With the tools of this project and with the launchers of the libraries.
"""

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from launch import ROOT, call, run, run_two
from written_formats import CAPTIONED, write

from saip_mm.training.config import load_config


@dataclass
class Case:
    """A config, the format and folder of its data, a metric, and options for a test.

    ``num`` images are drawn for training.
    """

    library: str
    config: str
    data: str
    folder: str
    metric: str
    options: tuple[str, ...]
    num: int = 4

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


def people(crop: int, *more: str) -> tuple[str, ...]:
    """Options for small images of one person; ``crop`` is the index of that step."""
    return (
        *scale('(32,64)', train=1, val=1, test=1),
        f'train_dataloader.dataset.pipeline.{crop}.crop_size=(64,32)',
        'model.backbone.img_size=(64,32)',
        'train_dataloader.batch_size=4',
        *more,
    )


IDENTITIES = people(
    3,
    'train_dataloader.sampler.num_identities=2',
    'train_dataloader.sampler.num_images=2',
    'model.head.num_classes=4',
)
SENTENCES = people(
    3,
    'model.text.init_cfg=None',
    'model.text.width=64',
    'model.text.num_layers=1',
    'model.text.out_channels=64',
    'model.mlm.num_blocks=1',
    'model.num_classes=8',
)
POSE, PARSING, PARTS, REID, *_ = CASES = [
    Case(*case)
    for case in (
        ('mmpose', 'pose/coco_saip-vit-tiny_256x192', 'coco', 'coco', 'coco/AP', FEW),
        ('mmseg', 'parsing/lip_saip-vit-tiny_576x384', 'lip',
         'LIP', 'mIoU', parsing('(96,64)', '(64,96)')),
        ('mmdet', 'part_attributes/fashionpedia_ke-rcnn_saip-vit-tiny',
         'fashionpedia', 'fashionpedia', 'fashionpedia/segm_AP_IoU_F1', PART_SIZES),
        ('mmpretrain', 'reid/market1501_saip-vit-tiny_256x128', 'market1501',
         'Market-1501-v15.09.15', 'reid/rank10', IDENTITIES, 48),
        ('mmpretrain', 'reid/msmt17_saip-vit-tiny_256x128', 'msmt17',
         'MSMT17_V1', 'reid/mAP', IDENTITIES, 24),
        ('mmpretrain', 'attributes/pa100k_saip-vit-tiny_256x128', 'pa100k',
         'PA100k', 'attributes/F1', people(2)),
        ('mmpretrain', 'attributes/peta-zs_saip-vit-tiny_256x128', 'peta',
         'PETA', 'attributes/mA', people(2)),
        ('open_clip', 'text_retrieval/cuhk-pedes_saip-vit-tiny_384x128', 'CUHKPEDES',
         'CUHK-PEDES', 'text_retrieval/mINP', SENTENCES),
        ('open_clip', 'text_retrieval/icfg-pedes_saip-tinyvit-5m_384x128', 'ICFGPEDES',
         'ICFG-PEDES', 'text_retrieval/mAP', SENTENCES),
        ('open_clip', 'text_retrieval/rstpreid_saip-cspnext-s_384x128', 'RSTPReid',
         'RSTPReid', 'text_retrieval/rank1', SENTENCES),
        ('mmpose', 'pose/coco-wholebody_saip-vit-tiny_256x192', 'coco-wholebody',
         'coco', 'coco-wholebody/AP', FEW),
        ('mmdet', 'detection/coco-person_faster-rcnn_saip-vit-tiny', 'coco',
         'coco', 'coco/bbox_mAP', BOX_SIZES),
        ('mmdet', 'detection/coco-person_rtmdet_saip-vit-tiny_640x640', 'coco',
         # With some seeds, random weights place no box, and there are no metrics.
         'coco', 'coco/bbox_mAP',
         (*FEW, 'model.test_cfg.score_thr=0.0', 'randomness.seed=2')),
        ('mmdet', 'detection/crowdhuman_crowddet_saip-vit-tiny', 'crowdhuman',
         'CrowdHuman', 'crowd_human/mAP', CROWD_SIZES),
        ('mmseg', 'parsing/lip-light_saip-vit-tiny_576x384', 'lip',
         'LIP', 'mIoU', parsing('(96,64)', '(64,96)')),
        ('mmseg', 'parsing/cihp_saip-vit-tiny_512x512', 'cihp',
         'CIHP', 'mIoU', parsing('(96,96)', '(128,96)')),
        ('mmdet',
         'part_attributes/fashionpedia_attribute-mask-rcnn_saip-vit-tiny',
         'fashionpedia', 'fashionpedia', 'fashionpedia/segm_AP_IoU_F1', PART_SIZES),
    )
]  # fmt: skip


def options(case: Case, backbone: Path, folder: Path) -> list[str]:
    """Write the data of a case; returns options for a short training."""
    pytest.importorskip(case.library)
    out = folder / 'data' / case.folder
    if case.data in CAPTIONED:
        CAPTIONED[case.data](out)
    else:
        write(case.data, out, case.num)
    short = [
        f'model.backbone.init_cfg.checkpoint={backbone}'
        if 'vit-tiny' in case.config
        else 'model.backbone.init_cfg=None',
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
    if 'vit-tiny' in case.config:
        assert '150 of 150 tensors matched' in out.out + out.err
    more = [each for each in more if 'init_cfg' not in each]  # no file is needed
    arguments = ['tools/test.py', case.path, run_dir, '--work-dir', test_dir]
    tta = ['--tta'] if case is PARSING else []
    call(*arguments, *tta, *more, cwd=tmp_path)
    assert 0 <= metrics(test_dir)[case.metric] <= 100


@pytest.mark.parametrize(
    'case', [POSE, PARSING, PARTS, REID], ids=lambda case: case.path.stem
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
    if case is REID:  # MMPretrain's tool would overrule the option
        arguments.insert(1, '--no-persistent-workers')
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
