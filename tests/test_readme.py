"""Commands and Python of README and guides run as written, and configs build."""

import importlib
import re
import shlex
import shutil
from pathlib import Path

import pytest
import timm
import torch
from launch import ROOT, call
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope
from PIL import Image
from random_models import write_backbone

import saip_mm
from saip_mm.models import SAIPViT
from saip_mm.report import people

# Commands use results of those on earlier pages.
PAGES = ('docs/training.md', 'docs/downstream.md', 'README.md')
TEXT = '\n'.join((ROOT / page).read_text() for page in PAGES)
# Without repetitions.
BLOCKS, SNIPPETS = (
    list(dict.fromkeys(re.findall(rf'```{language}\n(.*?)```', TEXT, re.DOTALL)))
    for language in ('bash', 'python')
)
LINES = ''.join(BLOCKS).replace('\\\n', ' ').splitlines()
COMMANDS = [line for line in dict.fromkeys(LINES) if line and line[0] != '#']


def snippet_with(text: str) -> str:
    """The Python block on the pages that contains ``text``."""
    (found,) = [each for each in SNIPPETS if text in each]
    return found


# Beginnings of commands that are not run.
EXEMPT = {
    'make demo': 'takes minutes; its steps have their own tests',
    'make test': 'is what runs this test',
    'python tools/probe.py': 'takes minutes; tests/tools/test_probe.py runs it',
    'python tools/train.py configs/pretrain/saip_vit-tiny_1gpu.py --cfg-options      '
    'default_hooks.probe': 'probes for minutes; tests/evaluation/test_hook.py does',
    'python tools/make_synthetic.py': 'tests/downstream/test_training.py does the same',
    'python tools/train.py configs/downstream': 'likewise',
    'python tools/test.py': 'likewise',
    'python -m saip_mm.doctor': 'tests/test_doctor.py runs it',
    'python tools/export_backbone.py work_dirs/saip_vit-tiny_1gpu --out backbone.onnx':
        'takes long; tests/tools/test_export_onnx.py exports a smaller one',
    'tools/dist_train.sh configs/pretrain/saip_vit-tiny.py 8': 'needs 8 GPUs and data',
    'python tools/make_keypoints.py': 'needs a model; has its own tests',
    'python tools/train.py configs/pretrain/hap': 'needs keypoints; likewise',
    'python tools/compare.py': 'trains for an hour; a smaller one has its own tests',
    'python tools/transfer.py': 'likewise',
    'python tools/train.py configs/transfer': 'takes minutes; the tests train less',
    'python tools/predict.py': 'needs a model; has its own tests',
    'python tools/export_model.py': 'needs a model; has its own tests',
    'python tools/time_to_quality.py': 'reads the logs of make demo; has its own tests',
    'GPUS=16': 'needs a Slurm cluster',
}  # fmt: skip

# Trains as on the pages, but with small heads, for one epoch.
OPTIONS = [
    'model.backbone.arch=deit-tiny',
    'model.matching.out_channels=64',
    'model.reconstruction.num_blocks=1',
    'train_dataloader.batch_size=2',
    'train_dataloader.num_workers=0',
    'train_dataloader.dataset.pipeline.0.num_locals=2',
    'train_cfg.max_epochs=1',
    'optim_wrapper.type=OptimWrapper',
]


def exempt(command: str) -> bool:
    return any(command.startswith(start) for start in EXEMPT)


def test_every_exemption_is_on_a_page():
    for start in EXEMPT:
        assert any(command.startswith(start) for command in COMMANDS), start


@pytest.fixture(scope='module')
def workplace(tmp_path_factory) -> Path:
    """A clone with the images and weights that the pages use."""
    place = tmp_path_factory.mktemp('clone')
    for name in ('configs', 'tools', 'tests', 'saip_mm'):
        (place / name).symlink_to(ROOT / name)
    drawn = place / 'drawn'
    call('tools/make_synthetic.py', 'coco', drawn, '--num', 3, '--seed', 0)
    photos = (drawn / 'train2017').rename(place / 'photos')
    boxes = drawn / 'annotations/person_keypoints_train2017.json'
    shutil.copy(boxes, photos / 'boxes.json')
    model = timm.create_model('deit_tiny_patch16_224')
    torch.save(dict(model=model.state_dict()), place / 'deit_tiny.pth')
    return place


@pytest.mark.parametrize('command', [c for c in COMMANDS if not exempt(c)])
def test_a_command_runs_as_written(command, workplace, monkeypatch):
    monkeypatch.setattr(people, 'IDENTITIES', 6)  # of the report; drawing takes long
    python, script, *arguments = shlex.split(command)
    assert python == 'python'
    if script == 'tools/train.py':
        arguments += [] if '--cfg-options' in arguments else ['--cfg-options']
        arguments += OPTIONS
    assert not call(script, *arguments, cwd=workplace)


@pytest.mark.parametrize('code', [x for x in SNIPPETS if 'backbone = saip_mm' in x])
def test_python_computes_features(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    backbone = SAIPViT()
    backbone.init_weights()
    torch.save(backbone.state_dict(), 'backbone.pth')
    for name, size in {'anna.jpg': (60, 200), 'bert.jpg': (128, 256)}.items():
        Image.new('RGB', size, 'teal').save(name)
    names = {}
    exec(code, names)
    assert names['features'].shape == (2, 192)
    torch.testing.assert_close(*names['features'])
    exec(snippet_with('fit_whitening'), names)
    assert names['similarity'].shape == (2, 2)


def test_backbones_for_other_codebases(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_backbone(Path('backbone.pth'))
    images = torch.rand(2, 3, 128, 64) * 255
    names = {}
    exec(snippet_with('class Maps'), names)
    exec(snippet_with('get_layer_depth'), names)
    maps = names['Maps']()
    backbone = saip_mm.load_backbone('backbone.pth')
    normalized = (images - backbone.mean) / backbone.std
    with torch.no_grad():
        torch.testing.assert_close(maps(normalized), backbone(images).patches)
        token = backbone.backbone.encode(normalized).image_token
        torch.testing.assert_close(token, backbone(images).image)
    groups = list(names['groups_of'](maps.vit))
    assert len(groups) == len(list(maps.parameters())) and maps.out_channels == 192
    assert groups[-1]['lr'] == 1e-3 and min(g['lr'] for g in groups) == 1e-3 * 0.9**13

    options = ['--out', 'person.safetensors', '--img-size', 256, 128]
    assert not call('tools/export_backbone.py', 'saip-vit-tiny', *options, cwd=tmp_path)
    exec(snippet_with('create_model'), names)
    images = torch.rand(1, 3, 256, 128) * 255
    normalized = (images - backbone.mean) / backbone.std
    backbone, model = saip_mm.load_backbone('person.safetensors'), names['model'].eval()
    cfg = timm.data.resolve_model_data_config(model)
    torch.testing.assert_close(255 * torch.tensor(cfg['mean']), backbone.mean.flatten())
    torch.testing.assert_close(255 * torch.tensor(cfg['std']), backbone.std.flatten())
    with torch.no_grad():
        features = backbone(images)
        maps = model.forward_intermediates(
            normalized, norm=True, intermediates_only=True
        )
        torch.testing.assert_close(model(normalized), features.image, rtol=0, atol=1e-3)
        torch.testing.assert_close(maps[-1], features.patches, rtol=0, atol=1e-3)


def test_the_config_of_several_sources(tmp_path, monkeypatch):
    (tmp_path / 'data/people').mkdir(parents=True)
    for i in range(3):
        Image.new('RGB', (64, 128), 'teal').save(tmp_path / f'data/people/{i}.png')
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    monkeypatch.chdir(tmp_path)
    Path('joined.py').write_text(snippet_with('ConcatDataset'))
    dataset = DATASETS.build(Config.fromfile('joined.py').train_dataloader.dataset)
    drawn = DATASETS.build(dict(type='SyntheticPeople', num_identities=1000))
    assert len(dataset) == 2 * 3 + len(drawn)
    for index in (5, 6):  # the last photograph, the first drawn person
        assert dataset[index]['inputs']['globals'].shape == (2, 3, 256, 128)


@pytest.mark.parametrize('library', ['mmpose', 'mmdet', 'mmseg'])
def test_a_config_snippet_builds_and_loads_the_weights(library, tmp_path):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f'{library} is not installed; `make test` installs it')
    base = dict(mmpose='mmpose::', mmdet='mmdet::', mmseg='fcn_r50')[library]
    (tmp_path / 'config.py').write_text(snippet_with(base))
    cfg = Config.fromfile(tmp_path / 'config.py')
    init_default_scope(library)
    importlib.import_module(f'{library}.models')
    weights = write_backbone(tmp_path / 'backbone.pth')
    cfg.model.backbone.init_cfg.checkpoint = str(tmp_path / 'backbone.pth')
    model = MODELS.build(cfg.model)
    model.init_weights()
    for name, tensor in model.backbone.state_dict().items():
        if name != 'pos_embed':
            torch.testing.assert_close(tensor, weights[name])
    head = dict(mmpose='head', mmdet='rpn_head', mmseg='decode_head')[library]
    model.eval()
    with torch.no_grad():
        features = model.extract_feat(torch.randn(1, 3, 256, 192))
        getattr(model, head)(features)
