"""PersonImages from a folder, a list and annotations: right images, clear errors."""

import json
import os
import pickle

import cv2
import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from PIL import Image

from saip_mm.data import folders, person_images
from saip_mm.data.images import ImageError
from saip_mm.data.person_images import PersonImages


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


class TestFolder:
    def test_all_images_below_in_a_fixed_order(self, folder):
        dataset = PersonImages(str(folder))
        paths = [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]
        assert paths == ['b.png', 'a/10.png', 'a/2.BMP', 'a/b/1.tif']
        assert values(dataset) == [0, 30, 10, 20]
        assert dataset[0]['source'] == str(folder / 'b.png')

    def test_data_prefix_is_relative_to_data_root(self, folder):
        dataset = PersonImages(str(folder), data_prefix=dict(img_path='a/b'))
        assert values(dataset) == [20]

    def test_links_are_followed_and_do_not_loop(self, folder, tmp_path_factory):
        elsewhere = tmp_path_factory.mktemp('elsewhere')
        save(elsewhere / 'z.png', value=200)
        os.symlink(elsewhere, folder / 'link')
        os.symlink(elsewhere / 'z.png', folder / 'z.png')
        os.symlink(folder, folder / 'a/above')
        assert values(PersonImages(str(folder))) == [0, 200, 30, 10, 20, 200]

    def test_all_that_pillow_reads_and_a_count_of_the_rest(self, folder, monkeypatch):
        lines = []
        monkeypatch.setattr(
            folders, 'print_log', lambda line, logger, level: lines.append(line)
        )
        for name in ('z1.avif', 'z2.jpe', 'z3.qoi'):
            save(folder / name)
        for name in (
            'z.HEIC',
            'y.heic',
            'clip.mpg',
            'paper.ps',
            'favicon.ico',
            'LICENSE',
        ):
            (folder / name).write_text('no image')
        dataset = PersonImages(str(folder))
        assert len(dataset) == 7
        assert {sample['image'].shape for sample in dataset} == {(80, 40, 3)}
        (line,) = lines
        assert f'{folder}: 7 images; left out 8 other files (2 .heic, ' in line
        assert '1 without extension' in line
        assert '1 .txt' in line
        assert 'Pillow needs pillow-heif' in line

    def test_what_a_plugin_of_pillow_reads(self, folder, monkeypatch):
        """As pillow-heif does it; what stands in for it reads Netpbm."""
        monkeypatch.setattr(Image, 'EXTENSION', Image.registered_extensions().copy())
        monkeypatch.setattr(Image, 'OPEN', Image.OPEN.copy())
        monkeypatch.setattr(Image, 'ID', [*Image.ID])
        save(folder / 'z.ppm', value=90)
        (folder / 'z.ppm').rename(folder / 'z.heic')
        assert len(PersonImages(str(folder))) == 4
        Image.register_open('HEIF', *Image.OPEN['PPM'])
        Image.register_extension('HEIF', '.heic')
        assert values(PersonImages(str(folder))) == [0, 90, 30, 10, 20]

    def test_scenes_from_another_folder(self, folder, tmp_path_factory):
        other = tmp_path_factory.mktemp('scenes')
        save(other / 's.png', value=99)
        scenes = dict(type='PersonImages', data_root=str(other))
        dataset = PersonImages(str(folder), scenes=scenes)
        assert [int(dataset[i]['scene'].mean()) for i in range(4)] == [99] * 4

    def test_errors_before_training(self, tmp_path):
        with pytest.raises(OSError, match='absent: there is no such folder'):
            PersonImages(str(tmp_path / 'absent'))
        (tmp_path / 'IMG_1.HEIC').write_text('')
        with pytest.raises(OSError, match=r'no images .*\.jpg .*1 other files'):
            PersonImages(str(tmp_path))
        with pytest.raises(ValueError, match='give data_root'):
            PersonImages()
        with pytest.raises(ValueError, match='data_prefix should be'):
            PersonImages(str(tmp_path), data_prefix=dict(image='x'))
        with pytest.raises(ValueError, match='margin should be at least 0'):
            PersonImages(str(tmp_path), margin=-1)

    def test_tiny_and_broken_images_are_named(self, folder):
        save(folder / 'tiny.png', 16, 7)
        dataset = PersonImages(str(folder))
        with pytest.raises(ImageError, match=r'tiny\.png: 16x7 .*min_size, 16x8'):
            dataset[1]
        assert len(dataset[0]['image']) == 80
        (folder / 'tiny.png').write_bytes(b'')
        with pytest.raises(ImageError, match=r'tiny\.png'):
            dataset[1]

    def test_small_crops_are_used(self, folder):
        """Low-resolution data sets have people of 39x17 pixels."""
        save(folder / 'small.png', 39, 17)
        assert PersonImages(str(folder))[1]['image'].shape == (39, 17, 3)
        with pytest.raises(ImageError, match=r'small\.png: 39x17 .*min_size, 64x32'):
            PersonImages(str(folder), min_size=(64, 32))[1]


class TestList:
    def test_paths_comments_and_empty_lines(self, folder):
        text = '\ufeff# a comment\r\na/2.BMP\r\n\r\n  b.png \nb.png\na/b/1.tif'
        (folder / 'list.txt').write_text(text, encoding='utf-8', newline='')
        dataset = PersonImages(str(folder), 'list.txt')
        assert values(dataset) == [10, 0, 0, 20]
        dataset = PersonImages(ann_file=str(folder / 'list.txt'), data_root=str(folder))
        assert values(dataset) == [10, 0, 0, 20]

    def test_utf_16_as_some_editors_save_it(self, folder):
        (folder / 'list.txt').write_text('a/2.BMP\r\nb.png\r\n', encoding='utf-16')
        assert values(PersonImages(str(folder), 'list.txt')) == [10, 0]

    def test_names_of_any_bytes(self, tmp_path):
        name = os.fsdecode(b'caf\xe9.png')  # Latin-1, so not UTF-8
        save(tmp_path / name, value=5)
        (tmp_path / 'list.txt').write_bytes(b'caf\xe9.png\n')
        assert values(PersonImages(str(tmp_path), 'list.txt')) == [5]

    def test_missing_entries_are_named_with_their_lines(self, folder):
        lines = ['b.png', '# comment', 'a/0.png', 'a/10.png', 'none/b.png', 'c.png']
        (folder / 'list.txt').write_text('\n'.join(lines))
        match = (
            r'list\.txt: 3 of 5 files are not in .*: a/0\.png \(line 3\), '
            r'none/b\.png \(line 5\), c\.png \(line 6\); correct'
        )
        with pytest.raises(FileNotFoundError, match=match):
            PersonImages(str(folder), 'list.txt')

    def test_only_the_first_missing_entries_are_named(self, folder):
        (folder / 'list.txt').write_text('\n'.join(f'{i}.png' for i in range(100)))
        with pytest.raises(
            FileNotFoundError, match=r'100 of 100 .* 4\.png \(line 5\), …;'
        ):
            PersonImages(str(folder), 'list.txt')

    def test_absent_empty_and_unknown_files(self, folder):
        with pytest.raises(FileNotFoundError, match=r'l\.txt: there is no such list'):
            PersonImages(str(folder), 'l.txt')
        (folder / 'l.txt').write_text('# nothing\n\n')
        with pytest.raises(ValueError, match=r'l\.txt: no images in the list'):
            PersonImages(str(folder), 'l.txt')
        with pytest.raises(ValueError, match=r'l\.csv: .*\.txt\) or .*\.json'):
            PersonImages(str(folder), 'l.csv')


def coco(*boxes, **changes):
    """Annotations of one photograph of 100 x 200 pixels (h x w)."""
    annotations = [
        dict(id=i, image_id=1, category_id=3, bbox=list(box), iscrowd=0)
        for i, box in enumerate(boxes)
    ]
    content = dict(
        images=[dict(id=1, file_name='photo.png', height=100, width=200)],
        annotations=annotations,
        categories=[dict(id=2, name='dog'), dict(id=3, name='person')],
    )
    return content | changes


@pytest.fixture
def photo(tmp_path):
    """A photograph whose red is the row and whose green is the column."""
    rows, columns = np.mgrid[:100, :200].astype(np.uint8)
    image = np.dstack([rows, columns, np.zeros_like(rows)])
    Image.fromarray(image).save(tmp_path / 'photo.png')

    def dataset(content, **options):
        (tmp_path / 'boxes.json').write_text(json.dumps(content))
        options = dict(margin=0, min_size=(1, 1)) | options
        return PersonImages(str(tmp_path), 'boxes.json', **options)

    return dataset


def corners(image):
    """First and last row, first and last column of a crop of the photograph."""
    return [*map(int, image[0, 0, :2]), *map(int, image[-1, -1, :2])]


class TestAnnotations:
    @pytest.mark.parametrize(
        ('box', 'margin', 'expected'),
        [
            ((20, 10, 30, 40), 0, [10, 20, 49, 49]),
            ((20, 10, 30, 40), 0.1, [6, 17, 53, 52]),
            ((20.6, 10.2, 30, 40), 0, [10, 20, 50, 50]),  # all pixels it touches
            ((-5, -9, 30, 40), 0, [0, 0, 30, 24]),
            ((190, 90, 30, 40), 0.5, [70, 175, 99, 199]),
            ((0, 0, 200, 100), 0.2, [0, 0, 99, 199]),
        ],
    )
    def test_crops(self, photo, box, margin, expected):
        results = photo(coco(box), margin=margin)[0]
        image = results['image']
        assert corners(image) == expected
        shape = expected[2] - expected[0] + 1, expected[3] - expected[1] + 1, 3
        assert image.shape == shape
        assert 'photo.png, box (x, y, w, h)' in results['source']

    def test_other_categories_and_crowds_do_not_count(self, photo):
        content = coco(*[(i, 0, 50, 50) for i in range(4)])
        content['annotations'][1]['iscrowd'] = 1
        content['annotations'][2]['category_id'] = 2
        lefts = [corners(sample['image'])[1] for sample in photo(content)]
        assert lefts == [0, 3]
        del content['categories']  # then all are people
        assert len(photo(content)) == 3

    def test_small_boxes_are_skipped_and_counted_once(self, photo, monkeypatch):
        boxes = [(0, 0, 32, 64), (0, 0, 31.9, 64), (0, 40, 32, 64), (180, 0, 90, 90)]
        lines = []
        monkeypatch.setattr(
            person_images, 'print_log', lambda line, logger: lines.append(line)
        )
        dataset = photo(coco(*boxes), min_size=(64, 32), margin=0.5)
        assert len(dataset) == 1
        assert len(lines) == 1
        assert '1 people; skipped 3 of 4 person boxes, smaller than 64x32' in lines[0]
        with pytest.raises(ValueError, match='4 of 4 .* smaller than 90x10 .* lower'):
            photo(coco(*boxes[:3], boxes[0]), min_size=(90, 10))

    def test_without_sizes_a_box_outside_is_found_when_read(self, photo):
        images = [dict(id=1, file_name='photo.png')]
        assert len(photo(coco((0, 0, 40, 40), images=images))[0]['image']) == 40
        dataset = photo(coco((0, 300, 40, 40), images=images))
        with pytest.raises(ImageError, match=r'photo\.png, box .*: 0x40 pixels'):
            dataset[0]

    def test_a_photograph_of_another_size_is_an_error(self, photo):
        images = [dict(id=1, file_name='photo.png', height=200, width=100)]
        dataset = photo(coco((0, 0, 40, 40), images=images))
        with pytest.raises(ImageError, match=r'is 100x200 .* for 200x100; .*EXIF'):
            dataset[0]

    def test_boxes_are_of_the_upright_photograph(self, photo, tmp_path):
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned clockwise by a quarter
        upright = np.asarray(Image.open(tmp_path / 'photo.png'))
        stored = Image.fromarray(np.rot90(upright).copy())
        stored.save(tmp_path / 'photo.png', exif=exif)
        image = photo(coco((20, 10, 30, 40)))[0]['image']
        assert corners(image) == [10, 20, 49, 49]

    def test_unreadable_and_absent_annotations(self, photo, tmp_path):
        (tmp_path / 'bad.json').write_text('{"images": [')
        with pytest.raises(ValueError, match=r'bad\.json: not JSON'):
            PersonImages(str(tmp_path), 'bad.json')
        with pytest.raises(FileNotFoundError, match=r'absent\.json: there is no such'):
            PersonImages(str(tmp_path), 'absent.json')

    def test_missing_photographs(self, photo, tmp_path):
        (tmp_path / 'photo.png').unlink()
        with pytest.raises(FileNotFoundError, match=r'1 of 1 .*: photo\.png;'):
            photo(coco((0, 0, 40, 40)))


@pytest.mark.parametrize(
    ('name', 'people'),
    [('coco/test_coco', 14), ('crowdpose/test_crowdpose', 5), ('aic/test_aic', 9)],
)
def test_real_annotations_agree_with_opencv(test_data, name, people):
    path = test_data / 'real' / f'{name}.json'
    dataset = PersonImages(str(path.parent), path.name, margin=0, min_size=(1, 1))
    assert len(dataset) == people
    content = json.loads(path.read_text())
    files = {image['id']: image['file_name'] for image in content['images']}
    for sample, annotation in zip(dataset, content['annotations'], strict=True):
        file = path.parent / files[annotation['image_id']]
        photograph = cv2.imread(str(file), cv2.IMREAD_COLOR_RGB)
        x, y, w, h = annotation['bbox']
        bottom, right = int(np.ceil(y + h)), int(np.ceil(x + w))
        expected = photograph[int(y) : bottom, int(x) : right]
        # Two JPEG decoders may differ in how they round.
        assert np.abs(sample['image'] - expected.astype(int)).mean() < 1


def test_pipeline_of_a_config_in_mmengines_loader(folder):
    views = dict(
        type='DrawViews',
        global_size=(256, 128),
        local_size=(128, 64),
        scene_size=(224, 224),
        patch_size=16,
        num_locals=2,
    )
    config = dict(
        batch_size=2,
        num_workers=1,
        dataset=dict(
            type='mmpretrain.PersonImages',
            data_root=str(folder),
            pipeline=[views, dict(type='ApplyViews')],
        ),
        sampler=dict(type='StatelessSampler', shuffle=True),
        collate_fn=dict(type='default_collate'),
    )
    batches = list(Runner.build_dataloader(config, seed=0))
    assert len(batches) == 2
    assert batches[0]['inputs']['globals'].shape == (2, 2, 3, 256, 128)
    assert batches[0]['inputs']['scene'].dtype == torch.uint8


def test_samples_survive_pickling(folder):
    """What spawned workers need of the data set and of what it returns."""
    dataset = PersonImages(str(folder))
    copy = pickle.loads(pickle.dumps(dataset))
    for index in range(4):
        expected = dataset[1, 2, index]
        sample = pickle.loads(pickle.dumps(copy[1, 2, index]))
        np.testing.assert_array_equal(sample['image'], expected['image'])
        np.testing.assert_array_equal(sample['scene'], expected['scene'])
        assert sample['rng'].random() == expected['rng'].random()
