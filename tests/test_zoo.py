"""The model zoo: counts against formulas, OpenMMLab's tools."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from launch import ROOT, call
from mmengine.config import Config
from mmpretrain.apis import ModelHub, get_model, list_models
from modelindex.load_model_index import load

from saip_mm.training.config import load_config
from saip_mm.zoo import build, measure, read_models, table

MODELS = read_models(ROOT)
NAMES = [model['Name'] for model in MODELS]
MARKET = Path('configs/downstream/reid/market1501_saip-vit-tiny_256x128.py')
DEMO = Path('configs/pretrain/saip_demo.py')
PAGE = Path('docs/model_zoo.md')
ZOO = 'tools/model_zoo.py'


def vit(size, channels, blocks, hidden) -> tuple[int, int]:
    """Parameters and multiply-adds of a ViT with patches of 16 pixels, by hand."""
    patches = size[0] // 16 * (size[1] // 16)
    tokens, pixels = patches + 1, 3 * 16 * 16
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


def counts(name: str) -> tuple[int, int]:
    metadata = MODELS[NAMES.index(name)]['Metadata']
    return metadata['Parameters'], metadata['FLOPs']


def test_counts_are_those_of_the_formula():
    parameters, adds = vit((256, 128), 192, 12, 768)
    assert counts('saip_vit-tiny') == (parameters, adds) and parameters == 5_511_360
    assert counts('saip_demo') == vit((128, 64), 96, 6, 384)
    assert counts('pa100k_saip-vit-tiny_256x128') == (
        parameters + 193 * 26,
        adds + 192 * 26,
    )
    parameters, adds = vit((256, 192), 192, 12, 768)
    # two deconvolutions without bias, 4×4, each with a batch norm, then 1×1
    head = 16 * 192 * 256 + 512 + 16 * 256 * 256 + 512 + 257 * 17
    convolved = 16 * 12 * 16 * 256 * (192 + 4 * 256) + 64 * 48 * 256 * 17
    assert counts('coco_saip-vit-tiny_256x192') == (parameters + head, adds + convolved)


PRETRAINING = [model for model in MODELS if 'configs/pretrain' in model['Config']]


@pytest.mark.parametrize('model', PRETRAINING, ids=lambda model: model['Name'])
def test_metafiles_are_up_to_date(model):
    """If not, run `python tools/model_zoo.py CONFIG`.

    For downstream configs, see downstream/test_configs.py.
    """
    if 'cspnext' in model['Name']:
        pytest.importorskip('mmdet')
    cfg = load_config(str(ROOT / model['Config']), {})
    counted = sum(parameter.numel() for parameter in build(cfg).backbone.parameters())
    assert counts(model['Name'])[0] == counted
    (speed,) = model['Metadata']['inference time (ms/im)']
    assert speed['resolution'] == str(tuple(cfg.model.backbone.img_size))


def test_every_config_is_in_a_metafile():
    folders = [ROOT / 'configs/pretrain', *(ROOT / 'configs/downstream').iterdir()]
    found = {str(p.relative_to(ROOT)) for each in folders for p in each.glob('*.py')}
    assert found == {model['Config'] for model in MODELS}
    assert [Path(model['Config']).stem for model in MODELS] == NAMES


def test_openmmlab_reads_index_and_metafiles(monkeypatch):
    index = load(str(ROOT / 'model-index.yml'))
    index.build_models_with_collections()
    assert not index.check_errors and not index.models.check_errors
    assert sorted(model.name for model in index.models) == sorted(NAMES)
    for model in index.models:
        assert not model.check_errors
        assert 'ViT-Tiny' in model.full_model.metadata.data['Architecture']

    monkeypatch.setattr(ModelHub, '_models_dict', {})
    monkeypatch.chdir(ROOT)
    (lines,) = re.findall('```python\n(.*?)```', PAGE.read_text(), re.DOTALL)
    names = {}
    exec(lines, names)
    assert isinstance(names['model']._config, Config)
    assert names['model'].head.fc.out_features == 751
    assert set(NAMES) <= set(list_models())
    assert get_model('saip_demo').backbone.embed_dims == 96


def test_the_page_shows_the_trained_models():
    """If not, run `tools/model_zoo.py` again."""
    shown = (ROOT / PAGE).read_text().partition('<!-- table -->\n\n')[2]
    assert shown.startswith(table(MODELS) + '\n<!-- end of the table -->')


@pytest.fixture
def clone(tmp_path):
    """A copy of the files that the tool reads and writes."""
    shutil.copytree(ROOT / 'configs', tmp_path / 'configs')
    for name in ('model-index.yml', PAGE):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_measuring_again_gives_the_same_counts():
    cfg = load_config(str(ROOT / DEMO), {})
    found = measure(cfg, seconds=0.01)
    assert (found['Parameters'], found['FLOPs']) == counts('saip_demo')
    (speed,) = found['inference time (ms/im)']
    assert speed['value'] > 0 and speed['resolution'] == '(128, 64)'


def test_results_appear_in_the_table(clone):
    path = clone / DEMO.parent / 'metafile.yml'
    content = yaml.safe_load(path.read_text())
    (entry,) = (each for each in content['Models'] if each['Config'] == str(DEMO))
    entry['Results'] = [
        dict(Task='T', Dataset='D', Metrics=dict(mAP=25.04, PCK=50)),
        dict(Task='T', Dataset='E', Metrics=dict(mAP=7)),
    ]
    entry['Weights'] = 'https://example.org/demo.pth'
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    assert not call(ZOO, cwd=clone)
    rows = re.findall('^.*saip_demo.py.*$', (clone / PAGE).read_text(), re.MULTILINE)
    assert '| D | 128×64 | 0.75 | 0.03 |' in rows[0]
    assert '| mAP 25.0, PCK 50.0 | [file](https://example.org/demo.pth) |' in rows[0]
    assert '| E | 128×64 | 0.75 | 0.03 |' in rows[1] and '| mAP 7.0 |' in rows[1]


def test_packaged_weights_are_in_the_table():
    packaged = {each['Packaged'] for each in MODELS if 'Packaged' in each}
    assert packaged == {path.stem for path in (ROOT / 'saip_mm/weights').iterdir()}
    assert all(f'| `{each}` in the package |' in table(MODELS) for each in packaged)


def test_bad_files(clone):
    with pytest.raises(ValueError, match='does not name .*other.py'):
        call(ZOO, 'configs/pretrain/other.py', cwd=clone)
    (clone / PAGE).write_text('# no marks')
    with pytest.raises(ValueError, match='model_zoo.md lacks the markers'):
        call(ZOO, cwd=clone)
