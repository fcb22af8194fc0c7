"""Configs read as data."""

import math

import pytest
from launch import ROOT, TINY
from mmengine.config import Config
from mmpretrain.registry import MODELS, TRANSFORMS

from saip_mm.checkpoints.buildable import check_buildable
from saip_mm.checkpoints.kept_config import parse_config

CONFIGS = sorted(ROOT.glob('configs/pretrain/**/*.py'))


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_dump_is_read_as_by_mmengine(path, tmp_path):
    cfg = Config.fromfile(path)
    cfg.odd = {'a b': dict(c=(1,), d=[-1.5, None, (True, 'x')]), '2': {}}
    cfg.dump(tmp_path / 'dump.py')
    text = (tmp_path / 'dump.py').read_text()
    read = parse_config(text, 'dump.py')
    assert read.to_dict() == Config.fromfile(tmp_path / 'dump.py').to_dict()
    assert type(read.odd['a b'].c) is tuple
    if MODELS.get(cfg.model.type).__module__.startswith('saip_mm.'):
        assert check_buildable(read, 'dump.py') is read
    else:
        with pytest.raises(ValueError, match='is not part of saip_mm'):
            check_buildable(read, 'dump.py')


def test_infinity_which_mmengine_cannot_read():
    cfg = Config(dict(hook=dict(minutes=math.inf, low=-math.inf)))
    assert parse_config(cfg.pretty_text, 'dump.py').to_dict() == cfg.to_dict()


@pytest.mark.parametrize(
    'line',
    [
        'import os',
        'a = open("x")',
        'a = dict(**b)',
        'a = [x for x in (1,)]',
        'a = (',
        "_base_ = 'x.py'",
        'filename = 1',
        'a = ' + '-' * 100_000 + '1',
        'a = "\0"',
    ],
    ids=lambda line: line[:20].replace('\0', ''),
)
def test_more_than_plain_values(line):
    with pytest.raises(ValueError, match='^c.py contains more than plain values'):
        parse_config(f'x = 1\n{line}\n', 'c.py')


@pytest.mark.parametrize('where', ['model', 'pipeline', 'scope'])
def test_a_type_is_not_called(where, tmp_path):
    """Unlike by a registry, which imports and calls any function."""
    trap = dict(type='os.mkdir', path=str(tmp_path / 'marker'))
    cfg = Config.fromfile(TINY)
    if where == 'model':
        cfg.model.search = trap
    elif where == 'pipeline':
        cfg.train_dataloader.dataset.pipeline[0] = trap
    else:
        cfg.model.backbone._scope_ = 'os'
    read = parse_config(cfg.pretty_text, 'c.py')
    with pytest.raises(ValueError, match="c.py builds 'os"):
        check_buildable(read, 'c.py')
    assert not (tmp_path / 'marker').exists()
    (TRANSFORMS if where == 'pipeline' else MODELS).build(trap)
    assert (tmp_path / 'marker').exists()


def test_initial_weights_are_removed_or_rejected():
    cfg = Config.fromfile(TINY)
    weights = dict(type='Pretrained', checkpoint='trap.pth')
    cfg.model.backbone.init_cfg = weights
    read = check_buildable(parse_config(cfg.pretty_text, 'c.py'), 'c.py')
    assert 'init_cfg' not in read.model.backbone
    cfg.model.matching.init_cfg = weights
    with pytest.raises(ValueError, match="c.py builds 'Pretrained'"):
        check_buildable(parse_config(cfg.pretty_text, 'c.py'), 'c.py')


def test_other_configs_are_rejected():
    with pytest.raises(ValueError, match='c.py is not a config of pretraining'):
        check_buildable(parse_config('model = 3', 'c.py'), 'c.py')


@pytest.mark.parametrize(
    'kind, allowed',
    [
        ('saip_mm.models.SAIP', True),  # as in dumps of configs in pure Python
        ('saip_mm.models.saip.SAIP', True),
        ('saip_mm.training.SAIP', False),
        ('saip_mm.files.os.mkdir', False),
        ('saip_mm.files.write_text', False),
        ('os.SAIP', False),
    ],
)
def test_a_class_named_by_its_module(kind, allowed):
    cfg = Config.fromfile(TINY)
    cfg.model.type = kind
    if allowed:
        assert check_buildable(cfg, 'c.py') is cfg
    else:
        with pytest.raises(ValueError, match=f"c.py builds '{kind}'"):
            check_buildable(cfg, 'c.py')
