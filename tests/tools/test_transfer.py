"""tools/transfer.py: shares of labels, and a run from training to table."""

import json
import shutil
from collections import Counter

import numpy as np
import pytest
import torch
from launch import ROOT, TINY, call
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, TRANSFORMS, DefaultScope
from mmengine.utils import import_modules_from_strings
from people_files import person, write_market1501
from PIL import Image

from saip_mm import load_backbone
from saip_mm.evaluation import fine_tuning, runs
from saip_mm.evaluation.compute import Cost
from saip_mm.evaluation.fine_tuning import FineTuning, draw_labels
from saip_mm.predictions.prediction import readable_batches
from saip_mm.training.config import load_config

TOOL = 'tools/transfer.py'
REID = ROOT / 'configs/transfer/reid_saip-small.py'
CONFIGS = sorted(REID.parent.rglob('*.py'))
ATTRIBUTES = ROOT / 'configs/transfer/attributes_saip-small.py'


@pytest.fixture
def people(tmp_path):
    return write_market1501(tmp_path / 'people')


@pytest.fixture
def colors(tmp_path):
    """Twenty images with attributes; the first ten are for training."""
    lines = ['path,split,warm,dark']
    for number in range(20):
        person(number, 0).save(tmp_path / f'{number}.png')
        split = 'train' if number < 10 else 'test'
        lines.append(f'{number}.png,{split},{number % 2},{number // 2 % 2}')
    (tmp_path / 'labels.csv').write_text('\n'.join(lines))
    return tmp_path


def options(folder, **others):
    roots = {
        f'{part}_dataloader.dataset.data_root': str(folder)
        for part in ('train', 'test')
    }
    loaders = {
        f'{part}_dataloader.{name}': value
        for part in ('train', 'test')
        for name, value in dict(num_workers=0, persistent_workers=False).items()
    }
    return roots | loaders | others


def test_a_share_of_the_people_is_drawn_by_the_seed(people):
    config = load_config(str(REID), options(people))
    drawn = draw_labels(config, 0.5, seed=0)
    names = sorted(each.name for each in (people / 'bounding_box_train').iterdir())
    assert sorted(Counter(names[i][:4] for i in drawn).values()) == [4, 4]
    others = [draw_labels(config, 0.5, seed) for seed in range(8)]
    assert drawn == others[0] and len(set(map(tuple, others))) > 2
    assert len({names[i][:4] for i in draw_labels(config, 0.01, seed=0)}) == 1


def test_a_table_and_nothing_is_trained_twice(run, forked, colors, tmp_path):
    given = options(
        colors,
        **{
            'train_dataloader.batch_size': 5,
            'model.head.num_classes': 2,
            'train_cfg.max_iters': 2,
            'default_hooks.checkpoint.interval': 2,
        },
    )
    weights = tmp_path / 'saip-small.safetensors'
    shutil.copy(ROOT / 'saip_mm/weights' / weights.name, weights)
    command = [ATTRIBUTES, '--work-dir', tmp_path / 'runs', '--weights', weights]
    command += ['--shares', 0.5, '--seeds', 3, '--cfg-options']
    command += [f'{name}={value}' for name, value in given.items()]
    status, printed = run(*command)
    assert status == 0, printed
    (result,) = (tmp_path / 'runs').glob('*/saip-small_50/seed3/result.json')
    found = json.loads(result.read_text())
    assert found['seed'] == 3 and found['images_seen'] == 10
    assert 0 <= found['probes']['attributes/mA'] <= 1
    # A command line would be too short for the numbers of many images.
    drawn = load_config(str(result.parent / 'labels3.py')).train_dataloader.dataset
    assert len(set(drawn.indices) & set(range(10))) == 5
    log = (result.parent / 'run.log').read_text()
    assert '78 of 78 tensors matched' in log and '    seed: 3\n' in log
    changed = result.stat().st_mtime_ns
    status, printed = run(*command)
    assert status == 0 and '| saip-small_50 | 1 |' in printed
    assert result.stat().st_mtime_ns == changed
    weights.write_bytes(b'others')
    assert 'Changes since then:\n-weights_sha256' in run(*command)[0]


def test_batches_that_are_not_full_count_as_what_they_hold(colors):
    given = {'train_dataloader.batch_size': 4, 'train_dataloader.drop_last': False}
    config = load_config(str(ATTRIBUTES), options(colors, **given))
    run = FineTuning(colors / 'row', config, seed=0, share=0.5)
    run.prepare()
    drawn = 'train_dataloader = dict(dataset=dict(indices=[0, 2, 3, 5, 7]))'
    run.training.write_text(f"_base_ = 'config.py'\n{drawn}\n")
    torch.save(dict(meta=dict(iter=5), state_dict={}), run.folder / 'iter_5.pth')
    assert runs.facts(run)['images_seen'] == (4 + 1) + (4 + 1) + 4
    whole = FineTuning(run.row, config, seed=0)
    assert runs.facts(whole)['images_seen'] == (4 + 4 + 2) + (4 + 4)


def test_metrics_of_what_is_not_annotated_are_no_scores(tmp_path, monkeypatch):
    metrics = {'coco/bbox_mAP': 0.5, 'coco/bbox_mAP_s': -1.0, 'time': 0.1}
    run = FineTuning(tmp_path, Config(), seed=0)
    file = run.folder / 'test/20260101_000000/metrics.json'
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(metrics))
    for name in ('train', 'run_tool', 'facts'):
        monkeypatch.setattr(fine_tuning, name, lambda *_, **__: {})
    run.complete()
    result = json.loads((run.folder / 'result.json').read_text())
    assert result == dict(probes={'coco/bbox_mAP': 0.5})


def test_malformed_labels_fail_one_run_only(colors, capsys):
    (colors / 'labels.csv').write_text('path,split,warm\n0.png,train,2')
    config = load_config(str(ATTRIBUTES), options(colors))
    assert runs.work([[FineTuning(colors / 'row', config, seed=0, share=0.5)]])
    assert 'error: row seed 0: ' in (error := capsys.readouterr().err)
    assert "labels.csv, line 2: warm is '2'" in error


def test_bad_options(run):
    for shares in ('0', '1.5'):
        assert run(REID, '--shares', shares)[0] == 2
    status, printed = run(REID, '--weights', 'saip-large', '--table')
    assert status != 0 and 'saip-large' in f'{status}{printed}'
    file = ROOT / 'saip_mm/weights/saip-small.safetensors'
    status, _ = run(REID, '--weights', 'saip-small', file, '--table')
    assert 'two rows are called saip-small_100' in status


def test_comparisons_fine_tune_the_backbone_of_the_run(
    forked, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(runs, 'probe', lambda run: {'reid/mAP': 0.5})
    monkeypatch.setattr(runs, 'cost_of', lambda config: Cost(100.0, 24))
    write_market1501(tmp_path / 'people')
    (tmp_path / 'id.py').write_text(
        f'_base_ = {str(REID)!r}\n'
        f'arch = {dict(Config.fromfile(TINY).model.backbone.arch)}\n'
        f'data = dict(data_root={str(tmp_path / "people")!r})\n'
        'loader = dict(dataset=data, num_workers=0, persistent_workers=False)\n'
        'train_dataloader = dict(\n'
        '    batch_size=8, sampler=dict(num_identities=2), **loader)\n'
        'test_dataloader = loader\n'
        'train_cfg = dict(max_iters=1)\n'
        'model = dict(backbone=dict(arch=dict(_delete_=True, **arch), patch_size=16),\n'
        '    head=dict(in_channels=arch["embed_dims"], num_classes=4))\n'
    )
    arguments = ['tools/compare.py', TINY, 'pixels', '--work-dir', tmp_path / 'runs']
    assert call(*arguments) == 0
    arguments += ['--fine-tune', tmp_path / 'id.py', '--shares', 0.5, 1]
    assert call(*arguments) == 0
    run = tmp_path / 'runs/tiny/seed0'
    assert {each.parent.name for each in run.glob('*/seed0')} == {'id_50', 'id_100'}
    assert not list((tmp_path / 'runs/pixels').glob('*/id_*'))
    log = (run / 'id_50/seed0/run.log').read_text()
    assert f'{run}/epoch_2.pth: teacher, 54 of 54 tensors matched' in log
    found = json.loads((run / 'id_50/seed0/result.json').read_text())
    rows = json.loads((tmp_path / 'runs/results.json').read_text())
    probes = rows[0]['probes']
    assert probes['id_50/mAP']['values'] == [found['probes']['reid/mAP']]
    assert '| id_50/mAP |' in capsys.readouterr().out
    assert call(*arguments, '--max-minutes', 1e-9) == 0, 'nothing is left to do'


def importable(path, options=()):
    """A config whose library is installed; its modules are imported."""
    cfg = load_config(str(path), options)
    for library in ('mmdet', 'mmpose', 'mmseg'):
        if cfg.default_scope == library:
            pytest.importorskip(library)
    import_modules_from_strings(**cfg.custom_imports)
    return cfg


@pytest.mark.parametrize('path', CONFIGS, ids=[path.stem for path in CONFIGS])
def test_transparent_pixels_are_gray_as_in_predictions(path, tmp_path):
    pixels = np.full((4, 2, 4), (200, 100, 0, 255), np.uint8)
    pixels[2:, :, 3] = 0
    Image.fromarray(pixels).save(file := str(tmp_path / 'a.png'))
    cfg = importable(path)
    [[(_, predicted)]] = readable_batches([file], 1, None)
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            read = TRANSFORMS.build(loader.dataset.pipeline[0])
        image = read(dict(img_path=file))['img']
        np.testing.assert_array_equal(image[..., ::-1], predicted)
        assert (image[:2] == (0, 100, 200)).all() and (image[2:] == 128).all()


HEAD = {'model.head.in_channels': '192'}
NECK = {'model.neck.0.in_channels': '192', 'model.neck.1.in_channels': '[192,192,192]'}
WIDE = {  # from docs/downstream.md
    'reid': HEAD,
    'attributes': HEAD,
    'pose': HEAD,
    'parsing': {'model.decode_head.in_channels': '192'},
    'detection': NECK,
    'part_attributes': NECK | {'model.neck.1.in_channels': '[96,192,192,192]'},
    'text_retrieval': {},
}


@pytest.mark.parametrize('task', WIDE)
def test_a_vit_tiny_instead_of_the_small_vit(task):
    options = {
        'model.backbone.arch': 'deit-tiny',
        'model.backbone.init_cfg.checkpoint': 'saip-vit-tiny',
    }
    path = REID.with_stem(f'{task}_saip-small')
    assert_starts(importable(path, options | WIDE[task]))


@pytest.mark.parametrize('path', CONFIGS, ids=[path.stem for path in CONFIGS])
def test_models_start_from_the_weights_in_the_package(path):
    assert_starts(importable(path))


def assert_starts(cfg):
    """The backbone has its packaged weights, and the model accepts its maps."""
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
        build_optim_wrapper(model, cfg.optim_wrapper)
    two_stages = 'roi_head' in cfg.model  # whole, with data: test_small_configs.py
    (model.backbone if two_stages else model).init_weights()
    start = load_backbone(cfg.model.backbone.init_cfg.checkpoint).backbone
    weights, expected = (
        each.layers[2].attn.qkv.weight for each in (model.backbone, start)
    )
    torch.testing.assert_close(weights, expected)
    images = torch.zeros(1, 3, *cfg.model.backbone.img_size)
    with torch.no_grad():
        if two_stages:
            model.eval().extract_feat(images)
        else:
            model.eval()(images, None, mode='tensor')
