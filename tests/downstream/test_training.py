"""The configs of MMPose, MMDetection and MMSegmentation train and are tested.

On drawn people in the formats that they expect where they expect them, by this
project's tools and by the libraries' own.
"""

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from launch import ROOT, call, run
from written_formats import write

from saip_mm.training.config import load_config

pytest.importorskip('mmdet')
pytest.importorskip('mmpose')
pytest.importorskip('mmseg')


@dataclass
class Case:
    """A config, and what makes it small enough for a test."""

    library: str
    config: str
    data: str  # the format, and the folder that the config expects it in
    folder: str
    figure: str  # a name among those that a test measures
    options: tuple[str, ...]

    @property
    def path(self) -> Path:
        return ROOT / 'configs' / 'downstream' / self.config


def scale(size: str, **places: int) -> tuple[str, ...]:
    """Options that set the scale of steps of pipelines: split=index."""
    return tuple(
        f'{split}_dataloader.dataset.pipeline.{index}.scale={size}'
        for split, index in places.items()
    )


POSE = Case(
    'mmpose',
    'pose/coco_saip-vit-tiny_256x192.py',
    'coco',
    'coco',
    'coco/AP',
    ('train_dataloader.batch_size=4',),
)
DETECTION = Case(
    'mmdet',
    'detection/coco-person_faster-rcnn_saip-vit-tiny.py',
    'coco',
    'coco',
    'coco/bbox_mAP',
    scale('(224,160)', train=2, val=1, test=1),
)
PARSING = Case(
    'mmseg',
    'parsing/lip_saip-vit-tiny_576x384.py',
    'lip',
    'LIP',
    'mIoU',
    (
        *scale('(64,96)', train=3, val=1, test=1),
        'train_dataloader.dataset.pipeline.4.crop_size=(96,64)',
        'model.data_preprocessor.size=(96,64)',
        'train_dataloader.batch_size=2',
        *(f'tta_pipeline.1.transforms.0.{i}.scale=(64,96)' for i in range(3)),
    ),
)
WHOLE_BODY = Case(
    'mmpose',
    'pose/coco-wholebody_saip-vit-tiny_256x192.py',
    'coco-wholebody',
    'coco',
    'coco-wholebody/AP',
    ('train_dataloader.batch_size=4',),
)
CROWD = Case(
    'mmdet',
    'detection/crowdhuman_crowddet_saip-vit-tiny.py',
    'crowdhuman',
    'CrowdHuman',
    'crowd_human/mAP',
    (
        *scale('(224,160)', val=1, test=1),
        'model.data_preprocessor.batch_augments.0.scale=(224,160)',
    ),
)
CIHP = Case(
    'mmseg',
    'parsing/cihp_saip-vit-tiny_512x512.py',
    'cihp',
    'CIHP',
    'mIoU',
    (
        *scale('(128,96)', train=3, val=1, test=1),
        'train_dataloader.dataset.pipeline.4.crop_size=(96,96)',
        'model.data_preprocessor.size=(96,96)',
        'train_dataloader.batch_size=2',
    ),
)


def options(case: Case, backbone: Path) -> list[str]:
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


def figures(folder: Path) -> dict:
    """What a test in a work directory has measured."""
    (path,) = folder.glob('*/*.json')
    return json.loads(path.read_text())


def losses(folder: Path) -> list[float]:
    paths = sorted(folder.glob('*/vis_data/scalars.json'))
    lines = [json.loads(line) for path in paths for line in path.open()]
    return [line['loss'] for line in lines if 'loss' in line]


@pytest.mark.parametrize(
    'case',
    [POSE, WHOLE_BODY, DETECTION, CROWD, PARSING, CIHP],
    ids=lambda case: case.path.stem,
)
def test_train_and_test(case, backbone, tmp_path, capfd):
    write(case.data, tmp_path / 'data' / case.folder)
    more = options(case, backbone)
    run_dir, test_dir = tmp_path / 'run', tmp_path / 'test'
    call('tools/train.py', case.path, '--work-dir', run_dir, *more, cwd=tmp_path)
    out = capfd.readouterr()
    assert '150 of 150 tensors matched' in out.out + out.err
    arguments = ['tools/test.py', case.path, run_dir, '--work-dir', test_dir]
    tta = ['--tta'] if case is PARSING else []
    call(*arguments, *tta, *more, cwd=tmp_path)
    assert 0 <= figures(test_dir)[case.figure] <= 100


@pytest.mark.parametrize(
    'case', [POSE, DETECTION, PARSING], ids=lambda case: case.library
)
def test_the_librarys_own_launcher(case, backbone, tmp_path):
    write(case.data, tmp_path / 'data' / case.folder)
    more = options(case, backbone)
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
    launcher = Path(find_spec('torch.distributed.run').origin)
    arguments = [launcher, '--standalone', '--nproc_per_node', 2, tools / 'train.py']
    arguments += [config, '--work-dir', run_dir, '--launcher', 'pytorch']
    run(*arguments, *more, cwd=tmp_path, CUDA_VISIBLE_DEVICES='')
    assert losses(run_dir)

    checkpoint = run_dir / 'epoch_1.pth'
    arguments = [tools / 'test.py', case.path, checkpoint, '--work-dir', test_dir]
    run(*arguments, *more, cwd=tmp_path)
    assert case.figure in figures(test_dir)


def test_two_processes_measure_what_one_does(backbone, tmp_path):
    write(POSE.data, tmp_path / 'data' / POSE.folder)
    more = options(POSE, backbone)
    run_dir, one, two = (tmp_path / name for name in ('run', 'one', 'two'))
    cpu = dict(cwd=tmp_path, CUDA_VISIBLE_DEVICES='')
    train, test = ROOT / 'tools/dist_train.sh', ROOT / 'tools/dist_test.sh'
    run(train, POSE.path, 2, '--work-dir', run_dir, *more, **cpu)
    run(test, POSE.path, run_dir, 2, '--work-dir', two, *more, **cpu)
    arguments = ['tools/test.py', POSE.path, run_dir, '--work-dir', one]
    call(*arguments, *more, cwd=tmp_path)
    assert figures(one)[POSE.figure] == figures(two)[POSE.figure]
