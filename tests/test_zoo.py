"""The model zoo: counts against formulas, results of real tests, OpenMMLab's tools."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from launch import ROOT, call
from mmengine.config import Config
from mmpretrain.apis import ModelHub, get_model, list_models
from modelindex.load_model_index import load

from saip_mm.evaluation.rows import digest
from saip_mm.training.config import load_config
from saip_mm.zoo import build, measure, read_models, table

MODELS = read_models(ROOT)
NAMES = [model['Name'] for model in MODELS]
MARKET = Path('configs/downstream/reid/market1501_saip-vit-tiny_256x128.py')
DEMO = Path('configs/pretrain/saip_demo.py')
PAGE = Path('docs/model_zoo.md')
ZOO = 'tools/model_zoo.py'


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
    """If not, run `python tools/model_zoo.py measure CONFIG`.

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


def entry(root: Path, config: Path) -> dict:
    content = yaml.safe_load((root / config.parent / 'metafile.yml').read_text())
    (found,) = (m for m in content['Models'] if m['Config'] == str(config))
    return found


@pytest.fixture(scope='module')
def tested(tmp_path_factory):
    """Output folder of tools/test.py, for an untrained model and a few drawn people."""
    place = tmp_path_factory.mktemp('tested')
    call('tools/make_synthetic.py', 'market1501', place / 'data', '--num', '16')
    model = build(load_config(str(ROOT / MARKET), {}))
    torch.save(dict(state_dict=model.state_dict()), place / 'epoch_120.pth')
    options = ['batch_size=8', 'num_workers=0', 'persistent_workers=False']
    options += [f'dataset.data_root={place / "data"}']
    options = [f'test_dataloader.{option}' for option in options]
    more = ['--work-dir', place / 'work', '--cfg-options', *options]
    call('tools/test.py', MARKET, place / 'epoch_120.pth', *more)
    (folder,) = (path for path in (place / 'work').iterdir() if path.is_dir())
    return folder


def test_measuring_again_gives_the_same_counts(clone):
    cfg = load_config(str(ROOT / DEMO), {})
    found = measure(cfg, seconds=0.01)
    assert (found['Parameters'], found['FLOPs']) == counts('saip_demo')
    (speed,) = found['inference time (ms/im)']
    assert 0 < speed['value'] < 1000 and speed['resolution'] == '(128, 64)'


def test_the_results_of_a_test(clone, tested):
    url = 'https://example.org/market1501.pth'
    before = entry(clone, MARKET)
    assert not call(ZOO, 'result', MARKET, tested, '--url', url, cwd=clone)
    after = entry(clone, MARKET)
    assert after['Metadata'] == before['Metadata']
    logged = json.loads((tested / f'{tested.name}.json').read_text())
    rank1, mean_ap = 100 * logged['reid/rank1'], 100 * logged['reid/mAP']
    assert mean_ap > 0
    (result,) = after['Results']
    assert result['Task'] == 'Re-Identification' and result['Dataset'] == 'Market-1501'
    assert result['Metrics'] == pytest.approx(dict(rank1=rank1, mAP=mean_ap), abs=0.01)
    weights = hashlib.sha256((tested.parents[1] / 'epoch_120.pth').read_bytes())
    assert after['Weights SHA-256'] == weights.hexdigest()
    page = (clone / PAGE).read_text()
    link = f'[`{weights.hexdigest()[:8]}`]({url})'
    assert f'| rank1 {rank1:.1f}, mAP {mean_ap:.1f} | {link} |' in page
    for model in load(str(clone / 'model-index.yml')).models:
        assert (model.weights == url) == (model.name == MARKET.stem)


def test_the_results_of_a_comparison(clone, tmp_path):
    seed = tmp_path / 'saip_demo/seed0'
    seed.mkdir(parents=True)
    (seed / 'epoch_2.pth').write_bytes(b'weights')
    (seed / 'last_checkpoint').write_text(str(seed / 'epoch_2.pth'))
    sha = digest(load_config(str(ROOT / DEMO), {}))
    content = dict(config_sha256=sha, probes={'reid/mAP': 0.25, 'keypoints/PCK': 0.5})
    (seed / 'result.json').write_text(json.dumps(content))
    assert not call(ZOO, 'result', DEMO, seed, cwd=clone)
    after = entry(clone, DEMO)
    assert after['Results'][0]['Metrics'] == dict(mAP=25.0, PCK=50.0)
    assert after['Weights SHA-256'] == hashlib.sha256(b'weights').hexdigest()
    row = re.search('^.*saip_demo.py.*$', (clone / PAGE).read_text(), re.MULTILINE)
    assert '128×64 | 0.75 | 0.03 |' in row[0] and 'mAP 25.0, PCK 50.0' in row[0]
    (seed / 'result.json').write_text(json.dumps(content | dict(config_sha256='0')))
    with pytest.raises(ValueError, match='result.json was made with another config'):
        call(ZOO, 'result', DEMO, seed, cwd=clone)


def test_bad_results_are_rejected(clone, tested, tmp_path):
    def refused(*arguments: object) -> str:
        with pytest.raises((OSError, ValueError)) as error:
            call(ZOO, *arguments, cwd=clone)
        return str(error.value)

    before = (clone / MARKET.parent / 'metafile.yml').read_bytes()
    other = MARKET.with_name('msmt17_saip-vit-tiny_256x128.py')
    assert 'the model differs from the config' in refused('result', other, tested)
    assert 'none.json is missing' in refused('result', MARKET, tmp_path / 'none')
    assert 'does not name' in refused('measure', 'configs/pretrain/other.py')

    copy = shutil.copytree(tested, tmp_path / tested.name)
    (copy / f'{copy.name}.json').write_text('{"reid/rank1": NaN, "reid/mAP": 0.5}')
    assert 'has no finite reid/rank1' in refused('result', MARKET, copy)
    (copy / f'{copy.name}.json').write_text('{')
    assert f'{copy.name}.json cannot be read' in refused('result', MARKET, copy)
    assert (clone / MARKET.parent / 'metafile.yml').read_bytes() == before
    (clone / PAGE).write_text('# no marks\n')
    assert 'lacks the markers' in refused('result', MARKET, tested)
    (clone / MARKET.parent / 'metafile.yml').write_text('Models: [')
    assert 'reid/metafile.yml cannot be read' in refused('result', MARKET, tested)
