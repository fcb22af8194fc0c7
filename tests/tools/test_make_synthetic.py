"""tools/make_synthetic.py writes, resumes, and rejects bad arguments."""

import json

import pytest
from written_formats import contents

from saip_mm.drawn import FormatWriter

TOOL = 'tools/make_synthetic.py'
SMALL = ('--num', 3, '--size', 64, 48)


def test_resumes_an_interrupted_run(run, tmp_path, monkeypatch):
    whole, cut = tmp_path / 'whole', tmp_path / 'cut'
    status, text = run('lip', whole, *SMALL)
    assert status == 0 and f'4 images and their labels written to {whole}' in text
    settings = json.loads((whole / 'synthetic.json').read_text())
    assert settings == dict(format='lip', num=3, seed=0, size=[64, 48])
    save, saved = FormatWriter.save_image, []  # of the process that draws

    def interrupted(writer, path, image):
        if len(saved) == 3:
            raise KeyboardInterrupt
        saved.append(path)
        save(writer, path, image)

    with monkeypatch.context() as patch:
        patch.setattr(FormatWriter, 'save_image', interrupted)
        with pytest.raises(KeyboardInterrupt):
            run('lip', cut, *SMALL, '--processes', 1)
    assert not list(cut.rglob('*_id.txt'))  # annotations are last
    (cut / 'TrainVal_images' / '.a.jpg.12.partial').touch()  # of a killed run
    saved = sorted(cut.rglob('*.jpg'))
    assert saved
    first = saved[0].stat().st_mtime_ns
    for _ in range(2):
        assert run('lip', cut, *SMALL)[0] == 0
        assert saved[0].stat().st_mtime_ns == first
        assert contents(cut) == contents(whole)


def test_a_foreign_folder_is_left_alone(run, tmp_path):
    (tmp_path / 'mine.txt').write_text('mine')
    for folder in (tmp_path, tmp_path / 'mine.txt'):
        status, _ = run('coco', folder, *SMALL)
        assert status.startswith(f'error: {folder}: is not an empty folder')
    assert contents(tmp_path) == {'mine.txt': b'mine'}


@pytest.mark.parametrize('changed', [('coco', 3, 0), ('lip', 4, 0), ('lip', 3, 1)])
def test_other_settings_need_another_folder(run, tmp_path, changed):
    assert run('lip', tmp_path / 'data', *SMALL)[0] == 0
    before = contents(tmp_path)
    name, num, seed = changed
    options = ('--num', num, '--seed', seed, '--size', 64, 48)
    status, _ = run(name, tmp_path / 'data', *options)
    assert 'holds a data set of other settings' in status
    assert 'synthetic.json' in status
    assert contents(tmp_path) == before
