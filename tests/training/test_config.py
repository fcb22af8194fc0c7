"""Configs with command-line options."""

import codecs
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path

import pytest
from launch import environment

from saip_mm.training.config import (
    add_options,
    load_config,
    training_images,
)


def test_a_missing_library(tmp_path):
    config = tmp_path / 'mine.py'
    config.write_text("_base_ = __import__('mmnone').__path__[0]")
    with pytest.raises(ModuleNotFoundError, match=r"mine.py: .*'mmnone'.*install.sh"):
        load_config(str(config), {})


def test_an_unfinished_cache_of_yapf(tmp_path):
    """As another process is writing it, or as a full disk left it."""

    def run(code: str) -> str:
        env = environment(XDG_CACHE_HOME=str(tmp_path))
        return subprocess.check_output([sys.executable, '-c', code], env=env, text=True)

    run('import yapf')
    for length, cache in enumerate(sorted(tmp_path.glob('YAPF/*/*.pickle'))):
        cache.write_bytes(cache.read_bytes()[: 1000 * length])
    load = 'from saip_mm.training.config import _import_yapf; _import_yapf()'
    format_ = (
        "from yapf.yapflib.yapf_api import FormatCode; print(FormatCode('a=1')[0])"
    )
    assert run(f'{load}; {format_}').strip() == 'a = 1'


def option(cfg: Path, text: str) -> object:
    """A setting's value with ``--cfg-options text``."""
    parser = ArgumentParser()
    parser.add_argument('config')
    add_options(parser)
    args = parser.parse_args([str(cfg), '--cfg-options', text])
    value = load_config(args.config, args.cfg_options)
    for key in text.partition('=')[0].split('.'):
        value = value[int(key) if key.isdigit() else key]
    return value


@pytest.fixture
def small(tmp_path) -> Path:
    """A config with text, a number, a tuple, a list and None."""
    path = tmp_path / 'small.py'
    path.write_text(
        "train_dataloader = dict(batch_size=8, sizes=(2, 3), names=['a', 'b'],\n"
        "    dataset=dict(data_root='data/people', scenes=None))\n"
        'load_from = None\n'
    )
    return path


@pytest.mark.parametrize(
    'text', ['my people', 'a,b', '2024', '1e3', 'true', '[x]', '(1', 'a=b', '', "O'B"]
)
def test_text_is_unchanged(text, small):
    for name in ('dataset.data_root', 'names.1'):
        assert option(small, f'train_dataloader.{name}={text}') == text


@pytest.mark.parametrize(
    'text, value',
    [
        ('load_from=my runs, new/epoch_3.pth', 'my runs, new/epoch_3.pth'),
        ('train_dataloader.dataset.data_root=None', None),
        ('train_dataloader.batch_size=1e3', 1000.0),
        ('train_dataloader.batch_size="123"', '123'),
        ('train_dataloader.batch_size=12', 12),
        ('train_dataloader.persistent_workers=true', True),
        ('train_dataloader.sizes=(4, 5)', (4, 5)),
        ('train_dataloader.sizes=4,5', [4, 5]),
        ('train_dataloader.sizes=[(1,2),[xy,z]]', [(1, 2), ['xy', 'z']]),
        ('train_dataloader.names=[\'a, b\', "(", 1]', ['a, b', '(', 1]),
        ('train_dataloader.dataset.scenes={"type": "A"}', {'type': 'A'}),
        ('train_dataloader.dataset.scenes.type=My Scenes', 'My Scenes'),
        ('sync_bn=torch', 'torch'),
        ('compile=true', True),
    ],
)
def test_other_values_are_read_as_by_python_or_mmengine(text, value, small):
    found = option(small, text)
    assert found == value and (isinstance(value, dict) or type(found) is type(value))


def test_an_option_changes_nothing_else(small, tmp_path):
    path = tmp_path / 'child.py'
    path.write_text("_base_ = 'small.py'\nval_dataloader = _base_.train_dataloader\n")
    cfg = load_config(str(path), {'train_dataloader.dataset.data_root': 'x'})
    assert cfg.val_dataloader.dataset.data_root == 'data/people'


@pytest.mark.parametrize(
    'text, message',
    [
        ('train_dataloader.names.7=c', r"names.7: '7' cannot be set in \['a', 'b'\]"),
        ('train_dataloader.names.x=c', r"names.x: 'x' cannot be set in \['a', 'b'\]"),
        ('train_dataloader.batch_size.x=1', "size.x: 'x' cannot be set in 8"),
    ],
)
def test_places_that_do_not_exist(text, message, small):
    with pytest.raises(ValueError, match=f'--cfg-options train_dataloader.*{message}'):
        option(small, text)


def test_imports_precede_options(small):
    small.write_text("custom_imports = dict(imports=['saip_mm'])")
    with pytest.raises(KeyError, match='nothing would change'):
        option(small, 'custom_imports.imports=[none]')


def test_bad_options(capsys):
    parser = ArgumentParser()
    parser.add_argument('config')
    add_options(parser)
    for options in (['a=1', 'config.py'], ['a'], ['=1']):
        with pytest.raises(SystemExit):
            parser.parse_args(['--cfg-options', *options])
        message = f'{options[-1]}: should be NAME=VALUE; other arguments, such as a '
        assert message in capsys.readouterr().err
    for option in ('a=dict(b=1)', "a=[dict(type='B', c=1)]"):
        with pytest.raises(SystemExit):
            parser.parse_args(['x.py', '--cfg-options', option])
        assert "write a dictionary as {'type': 'HAP'}" in capsys.readouterr().err
    args = ['x.py', '--cfg-options', 'a=1', 'b=2', '--cfg-options', 'a=3']
    assert dict(parser.parse_args(args).cfg_options) == dict(a='3', b='2')


@pytest.mark.parametrize(
    'content, message',
    [
        (b'a = (1,\n', r'SyntaxError: .*was never closed'),
        (b'a = 1\nb = c\n', r"NameError: name 'c' is not defined \(line 2 of .*m.py\)"),
        (b"_base_ = 'none.py'\n", r'FileNotFoundError: .*none.py'),
        (codecs.BOM_UTF8 + b'a = 1\n', 'as UTF-8 without a byte-order mark'),
        ('a = 1\n'.encode('utf-16'), 'UnicodeDecodeError.*as UTF-8 without'),
    ],
)
def test_bad_configs(content, message, tmp_path):
    path = tmp_path / 'm.py'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf'm\.py.*{message}'):
        load_config(str(path), {})


@pytest.mark.parametrize(
    'content, message',
    [
        ("load_from = 'a.pth',", 'load_from is a tuple: remove the comma'),
        ('train_dataloder = dict()', 'train_dataloder .* mean train_dataloader'),
        ("strategy = dict(type='DeepSpeedStrategy')", 'DeepSpeed, are not supported'),
        ("runner_type = 'FlexibleRunner'", 'DeepSpeed, are not supported'),
        (
            "model_wrapper_cfg = dict(type='MMFullyShardedDataParallel')",
            'DeepSpeed, are not supported',
        ),
        ("lr_config = dict(policy='step')", 'OpenMMLab 1.x .* use param_scheduler'),
        ("custom_hooks = dict(type='EMAHook')", 'should be a list of dictionaries'),
        ("custom_hooks = ['EMAHook']", 'should be a list of dictionaries'),
        ("log_level = 'debug'", "log_level='debug' should be a name such as INFO"),
        ('randomness = dict(seed=-1)', 'seed=-1 should be an integer from 0'),
        ("randomness = dict(seed='x')", "seed='x' should be an integer from 0"),
        ('optim_wrapper = dict(clip_grad=1.0)', 'clip_grad=1.0 should be a dictionary'),
        ('optim_wrapper = dict(clip_grad=dict(max_norm=0))', 'max_norm=0 would remove'),
        (
            "optim_wrapper = dict(clip_grad=dict(type='value', clip_value=-1))",
            'clip_value=-1 would .* set optim_wrapper.clip_grad=None',
        ),
    ],
)
def test_settings_that_would_be_ignored_or_misread(content, message, tmp_path):
    path = tmp_path / 'm.py'
    path.write_text(content)
    with pytest.raises(ValueError, match=rf'm\.py: .*{message}'):
        load_config(str(path))


def test_settings_that_a_config_may_have(tmp_path):
    path = tmp_path / 'm.py'
    path.write_text(
        "custom_hooks = (dict(type='EMAHook'),)\n"
        'models, train_pipeline, max_epochs = [1], [2], 3\n'
        "log_level, randomness, load_from = 'DEBUG', dict(seed=0), None\n"
        "optim_wrapper = dict(clip_grad=dict(type='value', clip_value=1))\n"
    )
    assert load_config(str(path)).models == [1]
    with pytest.raises(ValueError, match="custom_hooks should be .* not {'0':"):
        load_config(str(path), {'custom_hooks': None, 'custom_hooks.0.type': 'EMAHook'})


def test_a_head_for_other_keypoints_than_those_of_the_data(tmp_path):
    path = tmp_path / 'm.py'
    path.write_text(
        "model = dict(head=dict(type='HeatmapHead', out_channels=17))\n"
        'info = {i: dict(name=str(i)) for i in range(5)}\n'
        'data = dict(metainfo=dict(keypoint_info=info), pipeline=[])\n'
        'train_dataloader = dict(dataset=data)\n'
    )
    with pytest.raises(ValueError, match=r'm\.py: .* 5 key.*out_channels=5, not 17'):
        load_config(str(path))
    for count in (5, 3 * 5):  # with offsets, as in MMPose's UDP configs
        load_config(str(path), {'model.head.out_channels': count})
    load_config(str(path), {'model.head.type': 'RTMOHead'})
    converted = [dict(type='KeypointConverter')]
    load_config(str(path), {'train_dataloader.dataset.pipeline': converted})


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match='none.py: no such config'):
        load_config(str(tmp_path / 'none.py'), {})
    with pytest.raises(IsADirectoryError, match='is a folder, not a config'):
        load_config(str(tmp_path), {})
    with pytest.raises(FileNotFoundError, match='none: no such file or folde'):
        training_images(str(tmp_path / 'none'), {})
