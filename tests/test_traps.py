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

import saip_mm.probes
from saip_mm.models import SAIPViT
from saip_mm.probes import ProbeSizes

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
        *('--num', 12, '--seed', 0),
    )
    return folder


def start(path: Path, tmp_path: Path, **_: Path) -> None:
    options = ['--cfg-options', f'load_from={path}']
    call('tools/train.py', TINY, '--work-dir', tmp_path / 'out', *options)


def resume(path: Path, tmp_path: Path, **_: Path) -> None:
    call('tools/train.py', TINY, '--work-dir', tmp_path / 'out', '--resume', path)


def resume_newest(path: Path, tmp_path: Path, **_: Path) -> None:
    (tmp_path / 'out').mkdir()
    path.rename(tmp_path / 'out/epoch_2.pth')
    call('tools/train.py', TINY, '--work-dir', tmp_path / 'out', '--resume')


def initialise(path: Path, tmp_path: Path, **_: Path) -> None:
    options = ['model.backbone.init_cfg.type=Pretrained']
    options += [f'model.backbone.init_cfg.checkpoint={path}', 'train_cfg.max_epochs=1']
    out = tmp_path / 'out'
    call('tools/train.py', TINY, '--work-dir', out, '--cfg-options', *options)


def downstream(tool: str, tmp_path: Path, pa100k: Path, *arguments: object) -> None:
    splits = [
        f'{split}_dataloader.{key}'
        for split in ('train', 'val', 'test')
        for key in ('num_workers=0', 'persistent_workers=False', 'batch_size=2')
    ]
    first, *options = [*arguments, 'train_cfg.max_epochs=1']
    positional = [first] if tool == 'test' else []
    options = [*splits, *options] if positional else [*splits, first, *options]
    call(
        *(f'tools/{tool}.py', PA100K, *positional, '--work-dir', tmp_path / 'out'),
        *('--cfg-options', *options),
        cwd=pa100k,
    )


def initialise_downstream(path: Path, tmp_path: Path, pa100k: Path, **_: Path) -> None:
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
    few = functools.partial(saip_mm.probes.run_probes, sizes=FEW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saip_mm.probes, 'run_probes', few)
        done(call('tools/probe.py', path, '--config', TINY, '--device', 'cpu'))


def report(path: Path, tmp_path: Path, trained: Path, **_: Path) -> None:
    (tmp_path / 'out').mkdir()
    path.rename(tmp_path / 'out/epoch_2.pth')
    shutil.copy(trained / 'tiny.py', tmp_path / 'out')
    call('tools/report.py', tmp_path / 'out')
    print((tmp_path / 'out/report.html').read_text())


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


ENTRIES = [start, resume, resume_newest, initialise, initialise_downstream]
ENTRIES += [start_downstream, resume_downstream, test_downstream, convert, export]
ENTRIES += [export_onnx, swap, embed, probe, report, detect]


def name(entry: Callable) -> str:
    return entry.__name__


def refused(entry: Callable, path: Path, marker: Path, capfd, **places: Path) -> None:
    try:
        entry(path, **places)
    except Exception as error:  # noqa: BLE001  (its text is what counts)
        said = str(error)
    else:
        said = ''
    out = capfd.readouterr()
    assert not marker.exists()
    assert 'refused for safety' in said + out.out + out.err or (
        'weights_only' in said + out.out + out.err
    )


@pytest.mark.parametrize('entry', ENTRIES, ids=name)
def test_a_pickle_is_not_run(entry, tmp_path, capfd, trained, pa100k):
    marker, places = tmp_path / 'marker', dict(tmp_path=tmp_path)
    places |= dict(trained=trained, pa100k=pa100k)
    state = torch.load(trained / 'epoch_2.pth', weights_only=False)
    torch.save(state | dict(trap=Trap(marker)), tmp_path / 'trap.pth')
    refused(entry, tmp_path / 'trap.pth', marker, capfd, **places)


@pytest.mark.parametrize('entry', ENTRIES, ids=name)
def test_the_text_of_a_config_is_not_run(entry, tmp_path, trained, pa100k):
    marker, path = tmp_path / 'marker', tmp_path / 'trap.pth'
    text = f'import os\nos.mkdir({str(marker)!r})\n'
    if entry.__name__ in ('swap', 'initialise_downstream', 'start_downstream'):
        weights = {f'backbone.{k}': v for k, v in SAIPViT().state_dict().items()}
        state = dict(state_dict=weights, meta=dict(grid=(16, 8)))
    else:
        state = torch.load(trained / 'epoch_2.pth', weights_only=True)
    state['meta'] |= dict(config=text, cfg=text)
    torch.save(state, path)
    try:
        entry(path, tmp_path=tmp_path, trained=trained, pa100k=pa100k)
    except Exception as error:  # noqa: BLE001  (of another model, say)
        assert not isinstance(error, FileNotFoundError)
    assert not marker.exists()


def test_the_traps_work(tmp_path):
    pickle.loads(pickle.dumps(Trap(tmp_path / 'marker')))
    assert (tmp_path / 'marker').exists()
