"""The page of tools/report.py, for work directories in every state."""

import html
import json
import os
import re
import shutil

import pytest
import torch
from launch import ROOT, call
from PIL import Image

from saip_mm.evaluation import load_subject
from saip_mm.report import people, visualizations
from saip_mm.report.report import Report
from saip_mm.report.work_dir import Unavailable

TITLES = ['Losses', 'Probes', 'Training samples', 'Reconstruction', 'Search']
TITLES += ['Attention', 'Nearest neighbors', 'Config']


class Page:
    """Text and number of pictures of a page's sections, by title."""

    def __init__(self, path):
        self.html = path.read_text()
        head, *rest = re.split('<h2>(.*?)</h2>', self.html)
        parts = {'': head} | dict(zip(rest[::2], rest[1::2], strict=True))
        self.text, self.pictures = {}, {}
        for title, part in parts.items():
            self.text[title] = html.unescape(re.sub('<[^>]*>', '', part))
            if count := len(re.findall('<img |role="img"', part)):
                self.pictures[title] = count
        self.alts = re.findall(' (?:alt|aria-label)="([^"]*)"', self.html)


@pytest.fixture(autouse=True)
def _few_people(monkeypatch):
    """Drawing people takes most of the time."""
    monkeypatch.setattr(people, 'IDENTITIES', 6)
    monkeypatch.setattr(people, 'IMAGES_EACH', 2)


@pytest.fixture
def work_dir(tiny_run, tmp_path):
    return shutil.copytree(tiny_run, tmp_path / 'dir')


def report(work_dir, *options):
    out = work_dir / 'report.html'
    call('tools/report.py', work_dir, *options, '--out', out)
    return Page(out)


def save_images(folder):
    folder.mkdir()
    for i in range(4):
        image = Image.new('RGB', (30 + i, 70), (60 * i, 90, 90))
        image.save(os.fsencode(folder) + b'/caf\xe9_%d.png' % i, 'PNG')  # not UTF-8
    return folder


def test_a_finished_run(work_dir, capsys):
    work_dir = work_dir.rename(work_dir.parent / '<b>&')
    page = report(work_dir)
    assert '<b>&' in page.text[''] and '<b>' not in page.html
    assert 'Finished: 6 of 6 optimizer steps, 48 images seen' in page.text['']
    assert list(page.text)[1:] == TITLES
    assert page.pictures == {
        'Losses': 7,
        'Training samples': 3 * 7,
        'Reconstruction': 6 * 4,
        'Search': 6 * 5,
        'Attention': 6 * 5,
        'Nearest neighbors': 3 * 6 * 6,
    }
    assert "type='SAIP'" in page.text['Config']
    assert 'without their factors, model.loss_weights' in page.text['Losses']
    assert 'Nothing has been logged' in page.text['Probes']
    # After six steps at a momentum near 1, neighbors are mostly the same.
    neighbors = page.text['Nearest neighbors']
    (kept,) = re.findall(r'(\d+) of 30 neighbors are the same', neighbors)
    assert int(kept) >= 27 and 'The teacher has hardly changed' in neighbors
    assert '✓' in neighbors
    out = capsys.readouterr().out
    assert f'wrote {work_dir}/report.html' in out and 'omitted: Probes' in out
    assert not list(work_dir.glob('.*.partial'))

    for reference in re.findall('(?:src|href)="([^"]*)"', page.html):
        assert re.match('data:image/webp;base64,|#', reference), reference[:80]
    assert not re.search('<(script|link|iframe)', page.html)
    assert '@import' not in page.html and not re.search(r'url\((?!#)', page.html)
    assert all(page.alts) and len(page.html) < 5e6


def test_probes_and_a_truncated_checkpoint(work_dir):
    (scalars,) = work_dir.glob('*/vis_data/scalars.json')
    with open(scalars, 'a') as file:
        for step, value in ((3, 0.25), (6, 0.5)):
            file.write(json.dumps({'probe/reid/mAP': value, 'step': step}) + '\n')
    latest = work_dir / 'epoch_2.pth'
    latest.write_bytes(latest.read_bytes()[:1000])
    page = report(work_dir)
    assert page.pictures['Probes'] == 1
    assert any('mAP 0.25 at step 3, 0.5 at step 6' in alt for alt in page.alts)
    assert 'Weights of epoch_1.pth.' in page.text['']
    assert 'epoch_2.pth was skipped' in page.text['']
    assert page.pictures['Search'] == 30


def test_a_training_replaces_its_checkpoint_meanwhile(work_dir):
    page = Report(work_dir)
    (work_dir / 'epoch_2.pth').rename(work_dir / 'epoch_3.pth')
    assert page.latest[1] == 'Weights of epoch_3.pth.'


@pytest.mark.parametrize(
    'suffix, message, title',
    [
        ('pth', 'There is no checkpoint yet.', 'Search'),
        ('py', 'has no config', 'Config'),
    ],
)
def test_missing_files(work_dir, suffix, message, title):
    for file in work_dir.rglob(f'*.{suffix}'):
        file.unlink()
    page = report(work_dir)
    assert page.pictures['Losses'] == 7 and message in page.text[title]
    assert page.pictures.get('Training samples') == (21 if suffix == 'pth' else None)


def test_checkpoints_without_logs(work_dir):
    for folder in work_dir.glob('2*'):
        shutil.rmtree(folder)
    path = work_dir / 'epoch_2.pth'
    checkpoint = torch.load(path, weights_only=False)
    checkpoint['meta']['cfg'] = checkpoint['meta']['config'] = 'raise SystemExit(9)'
    torch.save(checkpoint, path)
    page = report(work_dir)
    assert 'Nothing has been logged' in page.text['Losses']
    assert page.pictures['Search'] == 30


def test_sections_for_saip_say_so(work_dir):
    config = ROOT / 'configs/pretrain/baselines/mocov3_small.py'
    report = Report(work_dir, config=str(config))
    report.latest = load_subject('pixels'), ''
    for name in ('model', 'people'):
        with pytest.raises(Unavailable, match='of SAIP|of views'):
            getattr(report, name)


def test_the_error_that_stopped_a_training_is_shown(work_dir):
    (log,) = work_dir.glob('*/*.log')
    with open(log, 'a') as file:
        file.write(
            'Traceback (most recent call last):\nFloatingPointError: no <luck>\n'
        )
    page = report(work_dir)
    assert 'Stopped by an error' in page.text['']
    assert 'FloatingPointError: no <luck>' in page.text['']


def test_images_of_a_folder(work_dir, tmp_path, capsys):
    crops = save_images(tmp_path / 'crops')
    (crops / 'bad.png').write_bytes(b'no image')
    page = report(work_dir, '--images', crops)
    assert f'Images of {crops}' in page.text['']
    assert 'omitted: 1 unreadable image(s): ' in capsys.readouterr().out
    assert re.search('Skipped: 1 unreadable image.*bad.png', page.text[''])
    assert 'caf?_0.png' in page.text['Training samples']
    assert page.pictures['Search'] == 4 * 5
    assert page.pictures['Nearest neighbors'] == 3 * 4 * 4
    assert '✓' not in page.text['Nearest neighbors']


def test_images_that_cannot_be_shown(work_dir, tmp_path):
    (tmp_path / 'damaged').mkdir()
    (tmp_path / 'damaged/a.jpg').write_bytes(b'no image')
    for name in ('none', 'damaged'):
        with pytest.raises(OSError, match=f'{tmp_path}/{name}'):
            call('tools/report.py', work_dir, '--images', tmp_path / name)
    assert not (work_dir / 'report.html').exists()


def test_a_section_that_fails(work_dir, monkeypatch):
    monkeypatch.setattr(visualizations, 'attention', lambda *_: 1 / 0)
    page = report(work_dir)
    assert 'ZeroDivisionError' in page.text['Attention']
    assert page.pictures['Search'] == 30


def test_an_overview_is_one_picture(work_dir, tmp_path):
    out = tmp_path / 'images/overview.png'
    assert not call('tools/report.py', work_dir, '--overview', out)
    with Image.open(out) as picture:
        colors = picture.convert('RGB').getcolors(1 << 20)
        assert picture.width > picture.height > 2 * 160 and len(colors) > 1000
    with pytest.raises(OSError, match='none'):
        call('tools/report.py', tmp_path / 'none', '--overview', out)
    assert call('tools/report.py', work_dir, '--overview', 'overview.jpg') == 2
