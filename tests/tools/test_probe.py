"""Probing from the command line."""

import functools
import json

import pytest
import torch
from launch import TINY, call
from people_files import write_pair

import saip_mm.evaluation
from saip_mm.evaluation import ProbeSizes, load_subject, run_probes

FEATURES = {'reid/mAP', 'reid/rank1', 'attributes/mA'}
PATCHES = {'parts/mIoU', 'keypoints/PCK'}
HEADS = {f'search/{name}' for name in ('IoU', 'IoU_stranger', 'gain')}
HEADS |= {f'reconstruction/{name}' for name in ('loss', 'loss_stranger', 'gain')}
SIZES = ProbeSizes(
    identities=10, images=6, train_identities=20, train_images=2, views=6
)


@pytest.fixture
def probe(monkeypatch, tmp_path, capsys):
    """Runs the tool on few people; returns its scores."""
    few = functools.partial(run_probes, sizes=SIZES)
    monkeypatch.setattr(saip_mm.evaluation, 'run_probes', few)

    def run(*arguments):
        out = tmp_path / 'deep' / 'probes.json'
        assert not call('tools/probe.py', *arguments, '--out', out, '--device', 'cpu')
        scores, printed = json.loads(out.read_text()), capsys.readouterr().out
        for name, score in scores.items():
            assert f'{name:28}{score:8.4f}\n' in printed
            if not name.startswith('reconstruction/') and 'gain' not in name:
                assert 0 <= score <= 1
        return scores

    return run


@pytest.mark.parametrize('name', ['mean-color', 'histogram', 'stripes', 'pixels'])
def test_baselines(probe, name):
    patches = PATCHES if name == 'mean-color' else set()
    assert probe(name, '--config', TINY).keys() == FEATURES | patches


def test_only_a_saip_has_roles(probe):
    with pytest.raises(ValueError, match='pixels is not a SAIP .* omit --role'):
        probe('pixels', '--role', 'student')


def test_a_work_directory_a_checkpoint_and_its_export(probe, tiny_run, tmp_path):
    scores = probe(tiny_run)
    assert scores.keys() == FEATURES | PATCHES | HEADS
    assert probe(tiny_run / 'epoch_2.pth') == scores
    assert probe(tiny_run / 'epoch_1.pth') != scores
    random = probe('random', '--config', TINY)
    assert random.keys() == scores.keys() and random != scores
    for name in ('a.pth', 'a.safetensors'):
        call('tools/export_backbone.py', tiny_run, '--out', tmp_path / name)
        exported = probe(tmp_path / name)
        # Patches differ: an export does not state that TINY's middle is not half-way.
        assert exported.keys() == FEATURES | PATCHES
        assert all(exported[key] == scores[key] for key in FEATURES)


def test_a_moved_checkpoint_contains_its_config(probe, tiny_run, tmp_path):
    moved = tmp_path / 'moved.pth'
    moved.write_bytes((tiny_run / 'epoch_2.pth').read_bytes())
    (tmp_path / 'other.py').write_text('raise SystemExit(9)')
    expected = probe(tiny_run)
    assert probe(moved) == expected
    state = torch.load(moved, weights_only=True)
    del state['meta']['cfg']
    torch.save(state, moved)
    assert probe(moved).keys() == FEATURES | PATCHES
    reason = load_subject(str(moved)).no_heads
    assert reason == 'the checkpoint does not contain its config: give --config'
    assert probe(moved, '--config', TINY) == expected


def test_real_folders(probe, test_data):
    folder = test_data / 'real/coco'
    arguments = ['--config', TINY, '--coco', folder, folder / 'test_coco.json']
    assert 'coco/PCK' in probe('random', *arguments)


def test_drawn_people_only_where_asked(probe, tmp_path):
    write_pair(tmp_path)
    own = {f'{tmp_path.name}/mAP': 1.0, f'{tmp_path.name}/rank1': 1.0}
    (ann := tmp_path / 'ann.json').touch()  # for patches, which pixels has not
    assert probe('pixels', '--reid', tmp_path, '--coco', tmp_path, ann) == own
    config = tmp_path / 'config.py'
    config.write_text(
        'train_dataloader = {}\nmodel = dict(backbone=dict(img_size=[64, 32]))'
    )
    both = probe('pixels', '--reid', tmp_path, '--drawn', '--config', config)
    assert both.keys() == own.keys() | FEATURES


def test_bad_input(tiny_run, tmp_path):
    def error(*arguments):
        with pytest.raises((OSError, ValueError)) as caught:
            call('tools/probe.py', *arguments)
        return str(caught.value)

    assert 'random: give the config of the model' in error('random')
    assert 'there is no checkpoint' in error(tmp_path / 'none.pth')
    assert 'has no checkpoint' in error(tmp_path)
    config = tmp_path / 'config.py'
    config.write_text('model = dict(type="ResNet")')
    assert 'config.py: is not a pretraining config' in error(
        'random', '--config', config
    )
    assert f'{tmp_path}: is a folder' in error('pixels', '--out', tmp_path)
    assert 'query: no such folder' in error('pixels', '--reid', tmp_path)
    coco = ['--coco', tmp_path, tmp_path / 'ann.json']
    assert 'give IMAGES ANN' in error('pixels', *coco[:2])
    assert 'ann.json: there are no such photographs' in error(tiny_run, *coco)
    (tmp_path / 'ann.json').touch()
    assert 'pixels has no features of patches' in error('pixels', *coco)
    torch.save(dict(state_dict=dict(a=torch.ones(1))), tmp_path / 'bad.pth')
    assert 'bad.pth: is not a ViT' in error(tmp_path / 'bad.pth')


def test_another_backbone_needs_its_config(tmp_path):
    checkpoint = dict(state_dict=dict(a=torch.ones(1)), meta=dict(cfg='model = 1'))
    torch.save(checkpoint, tmp_path / 'epoch_1.pth')
    with pytest.raises(ValueError, match='is not a ViT .*give --config'):
        call('tools/probe.py', tmp_path)
