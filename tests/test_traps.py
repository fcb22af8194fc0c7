"""Nothing in a file is executed: traps for every entry point that takes a file."""

import functools
import os
import pickle
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from launch import ROOT, TINY, call
from mmengine.config import Config
from trap import Trap

import saip_mm.evaluation
from saip_mm.evaluation import ProbeSizes
from saip_mm.models import SAIPViT

FEW = ProbeSizes(identities=4, images=3, train_identities=4, train_images=2, views=2)
PA100K = ROOT / 'configs/downstream/attributes/pa100k_saip-vit-tiny_256x128.py'
SMALL = ' '.join(
    f'{split}_dataloader.{key}'
    for split in ('train', 'val', 'test')
    for key in ('num_workers=0', 'persistent_workers=False', 'batch_size=2')
)
FASTER = '.mim/configs/faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'

TRAIN = f'train.py {TINY} --work-dir OUT'
DOWNSTREAM = f'--work-dir OUT --cfg-options {SMALL} train_cfg.max_epochs=1'
FINE_TUNE = f'train.py {PA100K} {DOWNSTREAM} model.backbone.init_cfg'
# By name; FILE is the trap and OUT a path for results, a work directory in some cases.
ENTRIES = dict(
    start=f'{TRAIN} --cfg-options load_from=FILE',
    resume=f'{TRAIN} --resume FILE',
    resume_newest=f'{TRAIN} --resume',
    initialize=f'{TRAIN} --cfg-options train_cfg.max_epochs=1 '
    'model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE',
    initialize_downstream=f'{FINE_TUNE}.checkpoint=FILE',
    start_downstream=f'{FINE_TUNE}=None load_from=FILE',
    resume_downstream=f'{FINE_TUNE}=None resume=True load_from=FILE',
    test_downstream=f'test.py {PA100K} FILE {DOWNSTREAM}',
    convert='convert_checkpoint.py FILE --out OUT.pth',
    export='export_backbone.py FILE --out OUT.pth',
    export_onnx='export_backbone.py FILE --out OUT.onnx',
    swap='swap_backbone.py mmpretrain::resnet/resnet18_8xb32_in1k.py --checkpoint FILE '
    '--out OUT.py',
    embed='',  # Python
    probe='probe.py FILE --device cpu',
    probe_with_config=f'probe.py FILE --config {TINY} --device cpu',
    report='report.py OUT',
    report_with_config=f'report.py OUT --config {TINY}',
    detect='crop_people.py data/PA100k OUT --det-config FASTER --det-checkpoint FILE',
)
IN_WORK_DIR = ('resume_newest', 'report', 'report_with_config')
# Errors of entry points that cannot use the checkpoint of these traps.
OF_ANOTHER_MODEL = dict(
    resume_downstream='none of',
    test_downstream='none of',
    convert='export_backbone',
    detect='no tensor fits',
)


def trapped_config(marker: Path, tiny_run: Path) -> str:
    """A whole config that creates a folder when it is executed."""
    config = (tiny_run / 'tiny.py').read_text()
    return f'import os\n{config}\nos.makedirs({str(marker)!r}, exist_ok=True)\n'


@pytest.fixture(scope='module')
def pa100k(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('data')
    arguments = ['pa100k', folder / 'data/PA100k', '--num', 4, '--seed', 0]
    call('tools/make_synthetic.py', *arguments)
    return folder


@pytest.fixture
def enter(tmp_path, pa100k, monkeypatch, capfd):
    """Run an entry point with ``trap.pth``; returns its success and output."""
    few = functools.partial(saip_mm.evaluation.run_probes, sizes=FEW)
    monkeypatch.setattr(saip_mm.evaluation, 'run_probes', few)
    file, out = tmp_path / 'trap.pth', tmp_path / 'out'

    def run(name: str) -> None:
        if name == 'embed':
            backbone = saip_mm.load_backbone(file)
            saip_mm.embed(
                backbone, torch.zeros(1, 64, 32, 3, dtype=torch.uint8).numpy()
            )
            return
        if name in IN_WORK_DIR:
            out.mkdir()
            for each in tmp_path.glob('*.py'):
                shutil.copy(each, out)
            file.rename(out / 'epoch_2.pth')
        command = ENTRIES[name].replace('FILE', str(file)).replace('OUT', str(out))
        if 'FASTER' in command:
            pytest.importorskip('mmdet')
            config = Path(find_spec('mmdet').origin).parent / FASTER
            command = command.replace('FASTER', str(config))
        script, *arguments = command.split()
        if status := call(f'tools/{script}', *arguments, cwd=pa100k):
            raise ValueError(status)
        if 'report' in name:
            print((out / 'report.html').read_text())

    def enter(name: str) -> tuple[bool, str]:
        try:
            run(name)
        except Exception as error:  # noqa: BLE001  (its text is what counts)
            succeeded, said = False, f'{type(error).__name__}: {error}'
        else:
            succeeded, said = True, ''
        out = capfd.readouterr()
        return succeeded, said + out.out + out.err

    return enter


@pytest.mark.parametrize('name', ENTRIES)
def test_a_pickle_is_not_executed(name, tmp_path, tiny_run, enter):
    shutil.copy(tiny_run / 'tiny.py', tmp_path)
    state = torch.load(tiny_run / 'epoch_2.pth', weights_only=False)
    torch.save(
        state | dict(trap=Trap(os.mkdir, str(tmp_path / 'marker'))),
        tmp_path / 'trap.pth',
    )
    _, said = enter(name)
    assert not (tmp_path / 'marker').exists()
    assert 'refused for safety' in said or 'weights_only' in said


@pytest.mark.parametrize('name', ENTRIES)
def test_the_text_of_a_config_is_not_executed(name, tmp_path, tiny_run, enter):
    text = trapped_config(tmp_path / 'marker', tiny_run)
    (tmp_path / 'tiny.py').write_text(text)
    if name in ('swap', 'initialize_downstream', 'start_downstream'):
        weights = torch.nn.ModuleDict(dict(backbone=SAIPViT())).state_dict()
        state = dict(state_dict=weights, meta=dict(grid=(16, 8)))
    else:
        state = torch.load(tiny_run / 'epoch_2.pth', weights_only=True)
    state['meta'] |= dict(config=text, cfg=text)
    torch.save(state, tmp_path / 'trap.pth')
    succeeded, said = enter(name)
    assert not (tmp_path / 'marker').exists()
    assert succeeded == (name not in OF_ANOTHER_MODEL), said
    assert OF_ANOTHER_MODEL.get(name, '') in said
    if name == 'report':
        assert 'contains more than plain values' in said and '--config' in said
    if 'probe' in name:
        assert ('search/IoU' in said) == (name == 'probe_with_config')


def test_saved_configs_are_not_executed(tmp_path, tiny_run):
    marker = tmp_path / 'marker'
    row = tmp_path / 'compare/pixels'
    row.mkdir(parents=True)
    (row / 'config.py').write_text(trapped_config(marker, tiny_run))
    compare = 'tools/compare.py', '--work-dir', row.parent
    call(*compare, '--table')
    with pytest.raises(ValueError, match='was started with another config'):
        call(*compare, 'pixels', '--random-of', TINY)
    assert not marker.exists()


def test_initial_weights_of_a_config_are_not_executed(tmp_path):
    trap, config = tmp_path / 'trap.pth', tmp_path / 'config.py'
    torch.save(dict(trap=Trap(os.mkdir, str(tmp_path / 'marker'))), trap)
    start = f"dict(type='Pretrained', checkpoint={str(trap)!r})"
    config.write_text(f"_base_ = ['{TINY}']\nmodel = dict(init_cfg={start})")
    compare = 'tools/compare.py', '--work-dir', tmp_path / 'compare', 'random'
    assert call(*compare, '--random-of', config) == 1
    assert not (tmp_path / 'marker').exists()


def test_the_traps_work(tmp_path, tiny_run):
    pickle.loads(pickle.dumps(Trap(os.mkdir, str(tmp_path / 'marker'))))
    assert (tmp_path / 'marker').exists()
    config = tmp_path / 'config.py'
    config.write_text(trapped_config(tmp_path / 'other', tiny_run))
    assert Config.fromfile(config).model.type == 'SAIP'
    assert (tmp_path / 'other').exists()
