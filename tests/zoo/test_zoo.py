"""What the zoo says: counts against formulas, and pages that OpenMMLab reads."""

import re
from pathlib import Path

import pytest
import yaml
from launch import ROOT
from mmengine.config import Config
from mmpretrain.apis import ModelHub, get_model, list_models
from modelindex.load_model_index import load

from saip_mm.training.config import load_config
from saip_mm.zoo import measure as measuring
from saip_mm.zoo.catalogue import read_authors, read_catalogue
from saip_mm.zoo.pages import pages

ENTRIES = read_catalogue(ROOT)
NAMES = [entry.name for entry in ENTRIES]
LIBRARIES = dict(detection='mmdet', parsing='mmseg', pose='mmpose')


def vit(size, channels, blocks, hidden, patch=16) -> tuple[int, int]:
    """Parameters and multiply-adds of a ViT, by hand."""
    patches = size[0] // patch * (size[1] // patch)
    tokens, pixels = patches + 1, 3 * patch * patch
    linear = 4 * channels**2 + 2 * channels * hidden
    biases = 3 * channels + channels + hidden + channels
    norms = 2 * 2 * channels
    parameters = (
        blocks * (linear + biases + norms)
        + (pixels + 1) * channels
        + channels  # class token
        + tokens * channels
        + 2 * channels  # last norm
    )
    attention = 2 * tokens**2 * channels
    adds = blocks * (tokens * linear + attention) + patches * pixels * channels
    return parameters, adds


def of(name: str):
    return ENTRIES[NAMES.index(name)].measured


def test_counts_of_backbones_are_those_of_the_formula():
    tiny = vit((256, 128), 192, 12, 768)
    assert tiny[0] == 5_511_360
    assert (of('saip_vit-tiny').parameters, of('saip_vit-tiny').multiply_adds) == tiny
    demo = vit((128, 64), 96, 6, 384)
    assert (of('saip_demo').parameters, of('saip_demo').multiply_adds) == demo


def test_counts_of_whole_models_are_those_of_the_formula():
    parameters, adds = vit((256, 128), 192, 12, 768)
    pa100k = of('pa100k_saip-vit-tiny_256x128')
    assert pa100k.parameters == parameters + 193 * 26
    assert pa100k.multiply_adds == adds + 192 * 26
    parameters, adds = vit((256, 192), 192, 12, 768)
    coco = of('coco_saip-vit-tiny_256x192')
    # two deconvolutions without bias, 4×4, each with a batch norm, then 1×1
    head = 16 * 192 * 256 + 512 + 16 * 256 * 256 + 512 + 257 * 17
    assert coco.parameters == parameters + head
    assert coco.multiply_adds == adds + 16 * 12 * 16 * 256 * (192 + 4 * 256) + (
        64 * 48 * 256 * 17
    )


@pytest.mark.parametrize('entry', ENTRIES, ids=NAMES)
def test_what_was_measured_is_the_config_as_it_is_now(entry):
    """To correct what fails here: `python tools/model_zoo.py measure CONFIG`."""
    if library := LIBRARIES.get(entry.section.folder.name):
        pytest.importorskip(library)
    cfg = load_config(str(ROOT / entry.config), {})
    model = measuring.build(cfg)
    part = model.backbone if 'test_dataloader' not in cfg else model
    counted = sum(parameter.numel() for parameter in part.parameters())
    assert entry.measured.parameters == counted
    assert entry.measured.input_size == list(cfg.model.backbone.img_size)


def test_every_config_is_in_the_zoo():
    """If not: name it in configs/model_zoo.yml, then measure it."""
    folders = [ROOT / 'configs/pretrain', *(ROOT / 'configs/downstream').iterdir()]
    found = {
        path.relative_to(ROOT) for folder in folders for path in folder.glob('*.py')
    }
    assert found == {entry.config for entry in ENTRIES}


def test_pages_are_what_the_tool_writes():
    """If not: `python tools/model_zoo.py write`."""
    for path, text in pages(ROOT).items():
        assert (ROOT / path).read_text('utf-8') == text, path


def test_nothing_is_filled_in_that_was_not_trained():
    page = pages(ROOT)[Path('docs/model_zoo.md')]
    for entry in ENTRIES:
        assert entry.measured is not None
        (row,) = re.findall(rf'^\| \[`{entry.name}`\].*$', page, re.MULTILINE)
        cells = row.strip('| ').split(' | ')
        assert (cells[6] == cells[8] == 'not trained') == (entry.trained is None)


def test_authors_figures_are_those_in_the_configs():
    _, figures = read_authors(ROOT)
    assert len(figures) == 12
    with_figures = [entry for entry in ENTRIES if entry.authors]
    # Not here: CUHK-PEDES, ICFG-PEDES, Fashionpedia.
    assert {entry.dataset for entry in with_figures} == {
        name
        for name in figures
        if name not in ('CUHK-PEDES', 'ICFG-PEDES', 'Fashionpedia')
    }
    for entry in with_figures:
        for metric, pair in entry.authors.items():
            assert metric in entry.metrics
            text = (ROOT / entry.config).read_text('utf-8')
            assert all(f'{value:.1f}' in text for value in pair), entry.config


def test_index_and_metafiles_are_read_by_openmmlab(monkeypatch):
    index = load(str(ROOT / 'model-index.yml'))
    index.build_models_with_collections()
    assert not index.check_errors and not index.models.check_errors
    assert sorted(model.name for model in index.models) == sorted(NAMES)
    for model in index.models:
        assert not model.check_errors
        assert (ROOT / model.config).is_file()
        assert 'ViT-Tiny' in model.full_model.metadata.data['Architecture']
    metafiles = {str(path.relative_to(ROOT)) for path in ROOT.rglob('metafile.yml')}
    assert set(yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']) == {
        path for path in metafiles if path.startswith('configs/')
    }

    monkeypatch.setattr(ModelHub, '_models_dict', {})
    ModelHub.register_model_index(ROOT / 'model-index.yml', config_prefix=ROOT)
    assert set(NAMES) <= set(list_models())
    model = get_model('market1501_saip-vit-tiny_256x128')
    assert model.head.fc.out_features == 751
    assert get_model('saip_demo').backbone.embed_dims == 96


def test_the_lines_of_python_build_a_model(monkeypatch):
    monkeypatch.setattr(ModelHub, '_models_dict', {})
    monkeypatch.chdir(ROOT)
    (lines,) = re.findall(
        r'```python\n(.*?)```', (ROOT / 'docs/model_zoo.md').read_text(), re.DOTALL
    )
    names = {}
    exec(lines, names)
    assert isinstance(names['model']._config, Config)
