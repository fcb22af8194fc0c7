"""PersonImages from a folder and from a list: correct images, clear errors."""

import os
import pickle

import numpy as np
import pytest
from PIL import Image

from saip_mm.data import folders
from saip_mm.data.concat import ConcatPeople
from saip_mm.data.images import ImageError
from saip_mm.data.person_images import PersonImages
from saip_mm.training.config import training_images


def save(path, height=80, width=40, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), value, np.uint8)).save(path)


def values(dataset):
    return [int(dataset[i]['image'][0, 0, 0]) for i in range(len(dataset))]


@pytest.fixture
def folder(tmp_path):
    for value, name in enumerate(['b.png', 'a/2.BMP', 'a/b/1.tif', 'a/10.png']):
        save(tmp_path / name, value=10 * value)
    for name in ('notes.txt', 'a/Thumbs.db', 'a/.hidden.png', '.cache/x.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('no image')
    return tmp_path


def test_images_in_subfolders_in_a_fixed_order(folder):
    dataset = PersonImages(str(folder))
    paths = [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]
    assert paths == ['b.png', 'a/10.png', 'a/2.BMP', 'a/b/1.tif']
    assert values(dataset) == [0, 30, 10, 20]
    assert dataset[0]['source'] == str(folder / 'b.png')
    assert values(PersonImages(str(folder), data_prefix=dict(img_path='a/b'))) == [20]
    (folder / 'a').rename(folder / '~')
    (folder / 'index.json').write_text('{}')  # of another program
    assert values(training_images(str(folder))) == [0, 30, 10, 20]


def test_links_are_followed_and_do_not_loop(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp('elsewhere')
    save(elsewhere / 'z.png', value=200)
    os.symlink(elsewhere, folder / 'link')
    os.symlink(elsewhere / 'z.png', folder / 'z.png')
    os.symlink(folder, folder / 'a/above')
    assert values(PersonImages(str(folder))) == [0, 200, 30, 10, 20, 200]


@pytest.mark.parametrize('kind', [PermissionError, TimeoutError])
def test_subfolders_without_permission_are_left_out(folder, monkeypatch, logged, kind):
    """Root may list everything: the error is raised by hand."""
    listed, lines = os.scandir, logged('data.folders')

    def scandir(path):
        if str(path) == refused:
            raise kind(13, 'refused', path)
        return listed(path)

    monkeypatch.setattr(os, 'scandir', scandir)
    refused = str(folder / 'a')
    if kind is PermissionError:
        assert folders.find_images(str(folder)) == ['b.png']
        assert lines[0].startswith(f'{refused}: left out, because it cannot be listed')
        refused = str(folder)
    with pytest.raises(kind, match=refused):
        folders.find_images(str(folder))


def test_formats_of_pillow_are_read_and_others_counted(folder, logged):
    lines = logged('data.folders')
    for name in ('z1.avif', 'z2.jpe', 'z3.qoi'):
        save(folder / name)
    for name in ('z.HEIC', 'y.heic', 'clip.mpg', 'paper.ps', 'a.ico', 'LICENSE'):
        (folder / name).write_text('no image')
    dataset = PersonImages(str(folder))
    assert len(dataset) == 7
    assert {sample['image'].shape for sample in dataset} == {(80, 40, 3)}
    (line,) = lines
    assert f'{folder}: 7 images; ignored 8 other files (2 .heic, ' in line
    assert '1 without extension' in line
    assert '1 .txt' in line
    assert 'Pillow needs pillow-heif' in line


def test_formats_of_pillows_plugins(folder, monkeypatch):
    """A reader of Netpbm registers itself as pillow-heif does."""
    monkeypatch.setattr(Image, 'EXTENSION', Image.registered_extensions().copy())
    monkeypatch.setattr(Image, 'OPEN', Image.OPEN.copy())
    monkeypatch.setattr(Image, 'ID', [*Image.ID])
    save(folder / 'z.ppm', value=90)
    (folder / 'z.ppm').rename(folder / 'z.heic')
    assert len(PersonImages(str(folder))) == 4
    Image.register_open('HEIF', *Image.OPEN['PPM'])
    Image.register_extension('HEIF', '.heic')
    assert values(PersonImages(str(folder))) == [0, 90, 30, 10, 20]


def test_folders_may_be_paths(folder):
    expected = PersonImages(str(folder))
    assert values(PersonImages(folder)) == values(expected)
    prefixed = PersonImages(data_prefix=dict(img_path=folder))
    assert values(prefixed) == values(expected)


def test_errors_of_the_constructor(tmp_path):
    (tmp_path / 'IMG_1.HEIC').write_text('')
    (tmp_path / 'l.txt').write_text('# nothing\n\n')
    (tmp_path / 'chunk-0-0.bin').touch()
    for options, message in (
        (dict(), 'give data_root'),
        (dict(data_root=['a', 'b']), r"\['a', 'b'\] should be one path; ConcatDataset"),
        (dict(data_root='s3://b/people'), 's3://b/people is a URL, .* ShardedImages'),
        (dict(data_root='absent'), 'absent: no such folder of images; set data_root'),
        (dict(data_root=str(tmp_path)), r'no images .*\.jpg .*3 other .*ShardedImages'),
        (dict(data_prefix=dict(image='x')), 'data_prefix should be'),
        (dict(data_root='.', margin=-1), 'margin should be at least 0'),
        (dict(data_root='.', min_size=(0, 8)), r'min_size=\(0, 8\) should be'),
        (dict(ann_file='absent.txt'), r'absent\.txt: no such list.*; correct ann'),
        (dict(ann_file=str(tmp_path / 'l.txt')), r'l\.txt: no images in the list'),
        (dict(ann_file='l.csv'), r'l\.csv: .*\.txt\) or .*\.json'),
    ):
        with pytest.raises((OSError, ValueError), match=message):
            PersonImages(**options)


def test_tiny_and_broken_images_are_named(folder):
    save(folder / 'tiny.png', 16, 7)
    dataset = PersonImages(str(folder))
    with pytest.raises(ImageError, match=r'tiny\.png: 16x7 .*min_size, 16x8'):
        dataset[1]
    assert len(dataset[0]['image']) == 80
    (folder / 'tiny.png').write_bytes(b'')
    with pytest.raises(ImageError, match=r'tiny\.png'):
        dataset[1]
    save(folder / 'tiny.png', 39, 17)  # as in data sets of low resolution
    for people in (dataset, PersonImages(str(folder), min_size=(39, 17))):
        assert people[1]['image'].shape == (39, 17, 3)
    with pytest.raises(ImageError, match=r'tiny\.png: 39x17 .*min_size, 64x32'):
        PersonImages(str(folder), min_size=(64, 32))[1]


def test_paths_comments_and_empty_lines(folder, monkeypatch):
    monkeypatch.setenv('HOME', str(folder))
    text = '\ufeff# a comment\r\na/2.BMP\r\n\r\n  b.png \nb.png\ra/b/1.tif'
    (folder / 'list.txt').write_text(text, encoding='utf-8', newline='')
    for root, ann_file in ((folder, 'list.txt'), (folder, '~/list.txt'), ('~', '')):
        people = PersonImages(str(root), ann_file or str(folder / 'list.txt'))
        assert values(people) == [10, 0, 0, 20]
    (folder / 'list.txt').write_text('a/2.BMP\r\nb.png\r\n', encoding='utf-16')
    assert values(PersonImages(str(folder), 'list.txt')) == [10, 0]


def test_digests_tell_lists_apart(folder):
    found = set()
    for names in (['b.png', 'a/2.BMP'], ['a/2.BMP', 'b.png'], ['b.png', 'a/10.png']):
        (folder / 'list.txt').write_text('\n'.join(names))
        digests = {PersonImages(str(folder), 'list.txt').digest() for _ in range(2)}
        assert len(digests) == 1
        found |= digests
    assert len(found) == 3
    a, b = (PersonImages(str(folder), data_prefix=dict(img_path=x)) for x in ('', 'a'))
    assert len({ConcatPeople(sets).digest() for sets in ([a, a, b], [a, b, b])}) == 2


def test_names_of_any_bytes(tmp_path):
    name = os.fsdecode(b'caf\xe9.png')  # Latin-1, so not UTF-8
    save(tmp_path / name, value=5)
    (tmp_path / 'list.txt').write_bytes(b'caf\xe9.png\n')
    assert values(PersonImages(str(tmp_path), 'list.txt')) == [5]


def test_missing_entries_are_named_with_their_lines(folder):
    lines = ['b.png', '# comment', 'a/0.png', 'a/10.png', 'none/b.png', 'c.png']
    (folder / 'list.txt').write_text('\n'.join(lines))
    match = (
        r'list\.txt: 3 of 5 files are not in .*: a/0\.png \(line 3\), '
        r'none/b\.png \(line 5\), c\.png \(line 6\); correct'
    )
    with pytest.raises(FileNotFoundError, match=match):
        PersonImages(str(folder), 'list.txt')
    (folder / 'list.txt').write_text('\n'.join(f'{i}.png' for i in range(100)))
    match = r'100 of 100 .* 4\.png \(line 5\), …;'
    with pytest.raises(FileNotFoundError, match=match):
        PersonImages(str(folder), 'list.txt')


def test_samples_survive_pickling(folder):
    """Spawned workers pickle the data set and its samples."""
    dataset = PersonImages(str(folder))
    copy = pickle.loads(pickle.dumps(dataset))
    for index in range(4):
        expected = dataset[1, 2, index]
        sample = pickle.loads(pickle.dumps(copy[1, 2, index]))
        np.testing.assert_array_equal(sample['image'], expected['image'])
        np.testing.assert_array_equal(sample['scene'], expected['scene'])
        assert sample['rng'].random() == expected['rng'].random()
