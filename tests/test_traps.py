"""Whoever takes a file runs nothing of it: traps for every entry point."""

import functools
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from launch import ROOT, TINY, call
from mmengine.config import Config

import saip_mm.evaluation
from saip_mm.evaluation import ProbeSizes
from saip_mm.models import SAIPViT

FEW = ProbeSizes(identities=4, images=3, train_identities=4, train_images=2, views=2)
PA100K = ROOT / 'configs/downstream/attributes/pa100k_saip-vit-tiny_256x128.py'
RESNET = 'mmpretrain::resnet/resnet18_8xb32_in1k.py'
FASTER = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.marker),)


@pytest.fixture(scope='module')
def trained(tmp_path_factory) -> Path:
    work_dir = tmp_path_factory.mktemp('trained') / 'run'
    call('tools/train.py', TINY, '--work-dir', work_dir)
    return work_dir


@pytest.fixture(scope='module')
def pa100k(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('data')
    call(
        *('tools/make_synthetic.py', 'pa100k', folder / 'data/PA100k'),
        *('--num', 4, '--seed', 0),
    )
    return folder


def start(path: Path, tmp_path: Path, **_: Path) -> None:
    options = ['--cfg-options', f'load_from={path}']
    done(call('tools/train.py', TINY, '--work-dir', tmp_path / 'out', *options))


def resume(path: Path, tmp_path: Path, **_: Path) -> None:
    done(call('tools/train.py', TINY, '--work-dir', tmp_path / 'out', '--resume', path))


def resume_newest(path: Path, tmp_path: Path, **_: Path) -> None:
    (tmp_path / 'out').mkdir()
    path.rename(tmp_path / 'out/epoch_2.pth')
    done(call('tools/train.py', TINY, '--work-dir', tmp_path / 'out', '--resume'))


def initialize(path: Path, tmp_path: Path, **_: Path) -> None:
    options = ['model.backbone.init_cfg.type=Pretrained']
    options += [f'model.backbone.init_cfg.checkpoint={path}', 'train_cfg.max_epochs=1']
    out = tmp_path / 'out'
    done(call('tools/train.py', TINY, '--work-dir', out, '--cfg-options', *options))


def downstream(tool: str, tmp_path: Path, pa100k: Path, *arguments: object) -> None:
    splits = [
        f'{split}_dataloader.{key}'
        for split in ('train', 'val', 'test')
        for key in ('num_workers=0', 'persistent_workers=False', 'batch_size=2')
    ]
    first, *options = [*arguments, 'train_cfg.max_epochs=1']
    positional = [first] if tool == 'test' else []
    options = [*splits, *options] if positional else [*splits, first, *options]
    status = call(
        *(f'tools/{tool}.py', PA100K, *positional, '--work-dir', tmp_path / 'out'),
        *('--cfg-options', *options),
        cwd=pa100k,
    )
    done(status)


def initialize_downstream(path: Path, tmp_path: Path, pa100k: Path, **_: Path) -> None:
    option = f'model.backbone.init_cfg.checkpoint={path}'
    downstream('train', tmp_path, pa100k, option)


def start_downstream(path: Path, tmp_path: Path, pa100k: Path, **_: Path) -> None:
    option = 'model.backbone.init_cfg=None'
    downstream('train', tmp_path, pa100k, option, f'load_from={path}')


def resume_downstream(path: Path, tmp_path: Path, pa100k: Path, **_: Path) -> None:
    option = 'model.backbone.init_cfg=None'
    options = ['resume=True', f'load_from={path}']
    downstream('train', tmp_path, pa100k, option, *options)


def test_downstream(path: Path, tmp_path: Path, pa100k: Path, **_: Path) -> None:
    downstream('test', tmp_path, pa100k, path)


test_downstream.__test__ = False


def convert(path: Path, tmp_path: Path, **_: Path) -> None:
    done(call('tools/convert_checkpoint.py', path, '--out', tmp_path / 'out.pth'))


def export(path: Path, tmp_path: Path, **_: Path) -> None:
    done(call('tools/export_backbone.py', path, '--out', tmp_path / 'out.pth'))


def export_onnx(path: Path, tmp_path: Path, **_: Path) -> None:
    done(call('tools/export_backbone.py', path, '--out', tmp_path / 'out.onnx'))


def swap(path: Path, tmp_path: Path, **_: Path) -> None:
    arguments = [RESNET, '--checkpoint', path, '--out', tmp_path / 'new.py']
    done(call('tools/swap_backbone.py', *arguments))


def embed(path: Path, tmp_path: Path, **_: Path) -> None:
    backbone = saip_mm.load_backbone(path)
    saip_mm.embed(backbone, [torch.zeros(64, 32, 3, dtype=torch.uint8).numpy()])


def probe(path: Path, tmp_path: Path, **_: Path) -> None:
    few = functools.partial(saip_mm.evaluation.run_probes, sizes=FEW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saip_mm.evaluation, 'run_probes', few)
        done(call('tools/probe.py', path, '--device', 'cpu'))


def probe_with_config(path: Path, tmp_path: Path, **_: Path) -> None:
    few = functools.partial(saip_mm.evaluation.run_probes, sizes=FEW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saip_mm.evaluation, 'run_probes', few)
        done(call('tools/probe.py', path, '--config', TINY, '--device', 'cpu'))


def report(path: Path, tmp_path: Path, *options: object, **_: Path) -> None:
    (tmp_path / 'out').mkdir()
    for file in path.parent.glob('*.p*'):
        shutil.copy(file, tmp_path / 'out')
    path.rename(tmp_path / 'out/epoch_2.pth')
    done(call('tools/report.py', tmp_path / 'out', *options))
    print((tmp_path / 'out/report.html').read_text())


def report_with_config(path: Path, tmp_path: Path, **_: Path) -> None:
    report(path, tmp_path, '--config', TINY)


def detect(path: Path, tmp_path: Path, pa100k: Path, **_: Path) -> None:
    pytest.importorskip('mmdet')
    from importlib.util import find_spec

    folder, name = Path(find_spec('mmdet').origin).parent, FASTER.split('::')[1]
    config = folder / '.mim/configs' / name
    arguments = ['--det-config', config, '--det-checkpoint', path]
    images = pa100k / 'data/PA100k'
    done(call('tools/crop_people.py', images, tmp_path / 'out', *arguments))


def done(status: int | str | None) -> None:
    if status:
        raise ValueError(status)


ENTRIES = [start, resume, resume_newest, initialize, initialize_downstream]
ENTRIES += [start_downstream, resume_downstream, test_downstream, convert, export]
ENTRIES += [export_onnx, swap, embed, probe, probe_with_config, report]
ENTRIES += [report_with_config, detect]


def name(entry: Callable) -> str:
    return entry.__name__


def outcome(entry: Callable, path: Path, capfd, **places: Path) -> tuple[bool, str]:
    """Whether an entry point did its work, and all that was said."""
    try:
        entry(path, **places)
    except Exception as error:  # noqa: BLE001  (its text is what counts)
        succeeded, said = False, f'{type(error).__name__}: {error}'
    else:
        succeeded, said = True, ''
    out = capfd.readouterr()
    return succeeded, said + out.out + out.err


@pytest.mark.parametrize('entry', ENTRIES, ids=name)
def test_a_pickle_is_not_run(entry, tmp_path, capfd, trained, pa100k):
    marker, places = tmp_path / 'marker', dict(tmp_path=tmp_path, pa100k=pa100k)
    shutil.copy(trained / 'tiny.py', tmp_path)
    state = torch.load(trained / 'epoch_2.pth', weights_only=False)
    torch.save(state | dict(trap=Trap(marker)), tmp_path / 'trap.pth')
    _, said = outcome(entry, tmp_path / 'trap.pth', capfd, **places)
    assert not marker.exists()
    assert 'refused for safety' in said or 'weights_only' in said


def trapped_config(marker: Path, trained: Path) -> str:
    """A whole config that makes a folder when it is run."""
    config = (trained / 'tiny.py').read_text()
    return f'import os\n{config}\nos.makedirs({str(marker)!r}, exist_ok=True)\n'


# What stops those entry points that the checkpoint of these traps is of no use to.
OF_ANOTHER_MODEL = {
    resume_downstream: 'none of',
    test_downstream: 'none of',
    detect: 'classes',
}


@pytest.mark.parametrize('entry', ENTRIES, ids=name)
def test_the_text_of_a_config_is_not_run(entry, tmp_path, capfd, trained, pa100k):
    marker, path = tmp_path / 'marker', tmp_path / 'trap.pth'
    text = trapped_config(marker, trained)
    (tmp_path / 'tiny.py').write_text(text)
    if entry.__name__ in ('swap', 'initialize_downstream', 'start_downstream'):
        weights = torch.nn.ModuleDict(dict(backbone=SAIPViT())).state_dict()
        state = dict(state_dict=weights, meta=dict(grid=(16, 8)))
    else:
        state = torch.load(trained / 'epoch_2.pth', weights_only=True)
    state['meta'] |= dict(config=text, cfg=text)
    torch.save(state, path)
    places = dict(tmp_path=tmp_path, pa100k=pa100k)
    succeeded, said = outcome(entry, path, capfd, **places)
    assert not marker.exists()
    assert succeeded == (entry not in OF_ANOTHER_MODEL), said
    assert OF_ANOTHER_MODEL.get(entry, '') in said
    if entry is report:
        assert 'contains more than plain values' in said and '--config' in said
    if entry in (probe, probe_with_config):
        assert ('search/IoU' in said) == (entry is probe_with_config)


def test_kept_configs_are_not_run(tmp_path, trained):
    marker = tmp_path / 'marker'
    row, test = tmp_path / 'compare/row', tmp_path / 'test'
    for file in (row / 'config.py', test / 'vis_data/config.py'):
        file.parent.mkdir(parents=True)
        file.write_text(trapped_config(marker, trained))
    (test / 'test.json').write_text('{}')
    compare = 'tools/compare.py', '--work-dir', row.parent
    for command in (
        (*compare, '--table'),
        (*compare, 'pixels', '--random-of', TINY),
        ('tools/model_zoo.py', 'result', PA100K.relative_to(ROOT), test),
    ):
        with pytest.raises(ValueError, match='contains more than plain values'):
            call(*command)
    assert not marker.exists()


def test_the_traps_work(tmp_path, trained):
    pickle.loads(pickle.dumps(Trap(tmp_path / 'marker')))
    assert (tmp_path / 'marker').exists()
    config = tmp_path / 'config.py'
    config.write_text(trapped_config(tmp_path / 'other', trained))
    assert Config.fromfile(config).model.type == 'SAIP'
    assert (tmp_path / 'other').exists()
