"""tools/predict.py: memory of galleries, and places of pictures."""

import json
import signal
import weakref

import numpy as np
import pytest
from launch import ROOT, call
from people_files import person
from PIL import Image
from random_models import write_model

from saip_mm.predictions import Predictor, load_predictor


def test_a_gallery_is_not_kept_in_memory(monkeypatch, tmp_path):
    config, alive, counts = ROOT / 'configs/transfer/reid_saip-small.py', [], []

    class Pixels(np.ndarray):
        pass

    def read_image(path: str) -> np.ndarray:
        image = np.array(person(0, 0).resize((16, 32))).view(Pixels)
        alive.append(weakref.ref(image))
        counts.append(sum(each() is not None for each in alive))
        return image

    monkeypatch.setattr('saip_mm.predictions.prediction.read_image', read_image)
    predictor = load_predictor(config, write_model(tmp_path / 'model.pth', config))
    predictor.cfg.test_dataloader.batch_size = 2
    predictor.index(paths := [f'{number}.png' for number in range(40)])
    assert predictor.gallery[0] == paths and max(counts) < 10


def test_pictures_are_not_written_among_the_images(tmp_path, capsys):
    command = 'tools/predict.py', 'config.py', 'a.pth', tmp_path, '--out'
    assert call(*command, tmp_path / 'predictions') == 2
    assert f'--out is in {tmp_path}' in ' '.join(capsys.readouterr().err.split())
    (tmp_path / 'a.txt').touch()
    assert call(*command, tmp_path / 'a.txt') == 2
    assert 'a.txt: is a file; give a folder' in capsys.readouterr().err


def test_narrow_images_and_long_names_leave_the_other_answers(tmp_path):
    config = ROOT / 'configs/transfer/detection_saip-small.py'
    model = write_model(tmp_path / 'model.pth', config, classes=('person',))
    images, out = tmp_path / 'images', tmp_path / 'out'
    images.mkdir()
    Image.new('RGB', (64, 128)).save(images / 'a.png')
    Image.new('RGB', (1, 600)).save(images / 'line.png')
    command = 'tools/predict.py', config, model, images, '--out', out
    assert call(*command) == '1 unreadable images were left out'
    assert [*json.loads((out / 'predictions.json').read_text())] == ['a.png']
    Image.new('RGB', (64, 128)).save(images / f'{"z" * 250}.png')
    with pytest.raises(OSError, match='too long'):
        call(*command)
    for name in ('predictions.json', 'predictions.partial.json'):
        assert 'a.png' in json.loads((out / name).read_text())


def test_wrong_images_are_reported_before_a_gallery_is_read(tmp_path):
    config = ROOT / 'configs/transfer/reid_saip-small.py'
    model = write_model(tmp_path / 'model.pth', config)
    (tmp_path / 'gallery').mkdir()
    (tmp_path / 'gallery' / 'damaged.jpg').touch()
    options = ['--gallery', tmp_path / 'gallery', '--out', tmp_path / 'out']
    with pytest.raises(FileNotFoundError, match='none: no such image or folder'):
        call('tools/predict.py', config, model, tmp_path / 'none', *options)


def test_images_are_no_sentence(tmp_path):
    pytest.importorskip('open_clip')
    config = ROOT / 'tests/configs/tiny_text.py'
    model = write_model(tmp_path / 'model.pth', config)
    with pytest.raises(ValueError, match='model.pth: is no sentence to search for'):
        call('tools/predict.py', config, model, model, '--out', tmp_path / 'out')


def test_unreadable_images_are_counted_once(tmp_path, capsys):
    config = ROOT / 'configs/transfer/reid_saip-small.py'
    model = write_model(tmp_path / 'model.pth', config)
    images = tmp_path / 'images'
    images.mkdir()
    Image.new('RGB', (64, 128)).save(images / 'a.png')
    (images / 'bad.png').write_text('no image')
    command = 'tools/predict.py', config, model, images, '--out', tmp_path / 'out'
    status = call(*command, '--gallery', images)
    assert status == '1 unreadable images were left out'
    assert capsys.readouterr().err.count('left out: ') == 1


def test_an_interrupted_command_keeps_complete_answers(tmp_path, monkeypatch, capsys):
    config = ROOT / 'configs/transfer/reid_saip-small.py'
    model = write_model(tmp_path / 'model.pth', config)
    images, out = tmp_path / 'images', tmp_path / 'out'
    images.mkdir()
    for name in ('a.png', 'b.png', 'c.png'):
        Image.new('RGB', (64, 128)).save(images / name)
    command = 'tools/predict.py', config, model, images, '--gallery', images
    assert call(*command, '--out', out) is None
    complete = json.loads((out / 'predictions.json').read_text())
    assert [*complete] == ['a.png', 'b.png', 'c.png']
    assert [len(answer) for answer in complete.values()] == [3, 3, 3]
    draw = Predictor.draw

    def stop(self, prediction, picture):
        if picture.name == 'b.png.png':
            raise KeyboardInterrupt
        draw(self, prediction, picture)

    monkeypatch.setattr(Predictor, 'draw', stop)
    assert call(*command, '--out', out) == 128 + signal.SIGINT
    assert 'the answers so far, if any, are in' in capsys.readouterr().err
    assert json.loads((out / 'predictions.json').read_text()) == complete
    partial = json.loads((out / 'predictions.partial.json').read_text())
    assert [*partial] == ['a.png', 'b.png']
