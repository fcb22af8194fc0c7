"""tools/model_zoo.py: measures, keeps results of real tests, refuses all else."""

import hashlib
import json
import re
import runpy
import shutil
import sys
from pathlib import Path

import pytest
import torch
from launch import ROOT, run
from modelindex.load_model_index import load

from saip_mm.evaluation.rows import digest
from saip_mm.training.config import load_config
from saip_mm.zoo import measure as measuring
from saip_mm.zoo.catalogue import Trained, read_catalogue, write_results
from saip_mm.zoo.pages import pages

MARKET = Path('configs/downstream/reid/market1501_saip-vit-tiny_256x128.py')
DEMO = Path('configs/pretrain/saip_demo.py')
SHA = '0123456789abcdef' * 4


@pytest.fixture
def clone(tmp_path, monkeypatch) -> Path:
    """A copy of what the tool reads and writes, in which it is run."""
    root = tmp_path / 'clone'
    shutil.copytree(ROOT / 'configs', root / 'configs')
    (root / 'docs').mkdir()
    for name in ('README.md', 'docs/model_zoo.md'):
        shutil.copy(ROOT / name, root / name)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def zoo(clone, monkeypatch, capsys):
    """Runs the tool in the clone; returns its exit status and what it printed."""

    def call_tool(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, 'argv', ['model_zoo.py', *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(ROOT / 'tools/model_zoo.py'), run_name='__main__')
        printed = capsys.readouterr()
        return stop.value.code, printed.out + printed.err

    return call_tool


def test_measure_measures_what_is_named(zoo, clone, monkeypatch):
    monkeypatch.setattr(measuring, 'SECONDS', 0.0)
    before = read_catalogue(clone)
    DEMO.with_suffix('.json').unlink()
    assert 'saip_demo.py) | not measured | not measured' in table(clone)
    status, printed = zoo('measure', DEMO)
    assert status == 0
    assert 'backbone, 748,320 parameters, 25,511,040 multiply-adds' in printed
    after = {entry.name: entry.measured for entry in read_catalogue(clone)}
    again = after.pop('saip_demo')
    assert again.runs == 5 and 0 < again.fastest_ms <= again.median_ms < 1000
    assert after == {e.name: e.measured for e in before if e.name != 'saip_demo'}


def table(root: Path) -> str:
    return pages(root)[Path('README.md')]


@pytest.fixture(scope='module')
def tested(tmp_path_factory) -> Path:
    """What tools/test.py leaves of an untrained model on a few drawn people."""
    place = tmp_path_factory.mktemp('tested')
    run('tools/make_synthetic.py', 'market1501', place / 'data', '--num', '16')
    model = measuring.build(load_config(str(ROOT / MARKET), {}))
    torch.save(dict(state_dict=model.state_dict()), place / 'epoch_120.pth')
    options = ['batch_size=8', 'num_workers=0', 'persistent_workers=False']
    options += [f'dataset.data_root={place / "data"}']
    options = [f'test_dataloader.{option}' for option in options]
    more = ['--work-dir', place / 'work', '--cfg-options', *options]
    run('tools/test.py', MARKET, place / 'epoch_120.pth', *more)
    (folder,) = (path for path in (place / 'work').iterdir() if path.is_dir())
    return folder


def test_the_result_of_a_test_reaches_every_page(zoo, clone, tested):
    url = 'https://example.org/market1501.pth'
    measured = json.loads(MARKET.with_suffix('.json').read_text())['measured']
    assert zoo('result', MARKET, tested, '--url', url) == (0, '')
    assert zoo('write') == (0, '')
    kept = json.loads(MARKET.with_suffix('.json').read_text())
    logged = json.loads((tested / f'{tested.name}.json').read_text())
    weights = hashlib.sha256((tested.parents[1] / 'epoch_120.pth').read_bytes())
    assert kept['measured'] == measured
    assert kept['trained'] == dict(
        metrics={k: v for k, v in logged.items() if k.startswith('reid/')},
        log=f'{tested.name}.json',
        log_sha256=kept['trained']['log_sha256'],
        weights='epoch_120.pth',
        weights_sha256=weights.hexdigest(),
        url=url,
    )
    rank1, mean_ap = 100 * logged['reid/rank1'], 100 * logged['reid/mAP']
    assert mean_ap > 0
    ours = f'| Rank-1 {rank1:.1f}, mAP {mean_ap:.1f} | Rank-1 93.7 / 95.2 |'
    page = Path('docs/model_zoo.md').read_text()
    assert ours in page and ours in Path('README.md').read_text()
    assert f'{ours} [{weights.hexdigest()[:8]}]({url}) |' in page
    assert f'epoch_120.pth, SHA-256 `{weights.hexdigest()}`' in page
    for model in load('model-index.yml').models:
        if model.name == MARKET.stem:
            assert model.weights == url
            assert model.results[0].metrics['Rank-1'] == round(rank1, 2)
        else:
            assert model.weights is None and 'Results' not in model.data


def test_a_run_of_tools_compare_is_a_result(zoo, clone, tmp_path):
    seed = tmp_path / 'saip_demo/seed0'
    seed.mkdir(parents=True)
    (seed / 'epoch_2.pth').write_bytes(b'weights')
    (seed / 'last_checkpoint').write_text(str(seed / 'epoch_2.pth'))
    names = ('reid/mAP', 'attributes/mA', 'parts/mIoU', 'keypoints/PCK')
    content = dict(
        config_sha256=digest(load_config(str(DEMO), {})),
        probes=dict.fromkeys(names, 0.25),
    )
    (seed / 'result.json').write_text(json.dumps(content))
    assert zoo('result', DEMO, seed) == (0, '')
    assert zoo('write') == (0, '')
    row = re.search(r'^.*saip_demo.py.*$', Path('README.md').read_text(), re.MULTILINE)
    assert 're-ID mAP 25.0, attributes mA 25.0, parts mIoU 25.0' in row[0]
    assert (
        'SHA-256 `' + hashlib.sha256(b'weights').hexdigest()
        in pages(clone)[Path('docs/model_zoo.md')]
    )
    (seed / 'result.json').write_text(json.dumps(content | dict(config_sha256=SHA)))
    status, printed = zoo('result', DEMO, seed)
    assert status == 1 and 'result.json was made with another config' in printed


def test_a_run_of_something_else_is_refused(zoo, clone, tested, tmp_path):
    other = 'configs/downstream/reid/msmt17_saip-vit-tiny_256x128.py'
    before = Path(other).with_suffix('.json').read_bytes()
    status, printed = zoo('result', other, tested)
    assert status == 1
    assert 'vis_data/config.py: the model is not that of the config' in printed
    status, printed = zoo('result', MARKET, tmp_path / 'none')
    assert status == 1 and 'none.json is missing' in printed

    copy = shutil.copytree(tested, tmp_path / tested.name)
    log = copy / f'{copy.name}.json'
    log.write_text('{"reid/rank1": NaN, "reid/mAP": 0.5}')
    status, printed = zoo('result', MARKET, copy)
    assert status == 1 and 'its log has no finite reid/rank1' in printed
    log.write_text('{')
    status, printed = zoo('result', MARKET, copy)
    assert status == 1 and f'{log} holds no figures' in printed
    config = copy / 'vis_data/config.py'
    config.write_text(config.read_text().replace('epoch_120.pth', 'gone.pth'))
    status, printed = zoo('result', MARKET, copy)
    assert status == 1 and 'gone.pth' in printed
    assert Path(other).with_suffix('.json').read_bytes() == before


def measured(**changes: object) -> dict:
    """What a result file says of measurements, with changes."""
    kept = json.loads((ROOT / MARKET).with_suffix('.json').read_text())
    return kept['measured'] | changes


def trained(**changes: object) -> dict:
    """What a result file says of training, with changes."""
    kept = dict(
        metrics={'reid/rank1': 0.5, 'reid/mAP': 0.25},
        log='a.json',
        log_sha256=SHA,
        weights='a.pth',
        weights_sha256=SHA,
        url='',
    )
    return {name: value for name, value in (kept | changes).items() if value != 'no'}


@pytest.mark.parametrize(
    'content, message',
    [
        ('{', 'is not a result file'),
        ('[]', 'is not a result file'),
        (dict(training=trained()), 'is not a result file: says training'),
        (dict(trained=trained(weights_sha256='no')), "argument: 'weights_sha256'"),
        (dict(trained=trained(weights_sha256='12')), 'weights_sha256 is not a SHA-256'),
        (dict(trained=trained(log_sha256=12)), 'log_sha256 is 12'),
        (dict(trained=trained(metrics={})), 'reid/rank1 is None, not a figure'),
        (dict(trained=trained(metrics={'reid/rank1': 'x'})), "reid/rank1 is 'x'"),
        (dict(trained=trained(metrics=5)), 'metrics is 5'),
        (dict(measured={}), 'is not a result file'),
        (dict(measured=measured(parameters='many')), "parameters is 'many'"),
    ],
)
def test_a_damaged_result_file_is_named(zoo, clone, content, message):
    path = MARKET.with_suffix('.json')
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    before = Path('README.md').read_bytes()
    status, printed = zoo('write')
    assert status == 1 and printed.count('error: ') == 1
    assert str(path) in printed and message in printed
    assert Path('README.md').read_bytes() == before


def test_files_that_do_not_belong_together_are_named(zoo, clone):
    write_results(Path('configs/pretrain/other.py'), trained=Trained(**trained()))
    status, printed = zoo('write')
    assert status == 1
    assert 'other.json: configs/model_zoo.yml has no config of this name' in printed
    Path('configs/pretrain/other.json').unlink()
    status, printed = zoo('measure', 'configs/pretrain/other.py')
    assert status == 1 and 'configs/model_zoo.yml does not name it' in printed
    Path('README.md').write_text('# no marks\n')
    status, printed = zoo('write')
    assert status == 1 and 'README.md has no place for the zoo' in printed
    DEMO.unlink()
    status, printed = zoo('write')
    assert status == 1
    assert 'model_zoo.yml: there is no configs/pretrain/saip_demo.py' in printed
