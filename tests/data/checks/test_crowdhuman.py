"""Annotations and images of CrowdHuman that make MMDetection fail are named."""

import json

import pytest
from PIL import Image
from written_formats import quietly, write

from saip_mm.data.checks.crowdhuman import read_crowdhuman
from saip_mm.data.checks.files import check_annotations


@pytest.fixture
def root(tmp_path):
    pytest.importorskip('mmdet.datasets')
    write('crowdhuman', tmp_path)
    return tmp_path


def crowdhuman(root) -> dict:
    return dict(
        type='mmdet.CrowdHumanDataset',
        data_root=str(root),
        ann_file='annotation_train.odgt',
        data_prefix=dict(img='Images/'),
    )


def change_line(path, change) -> None:
    first, *others = path.read_text().splitlines()
    record = json.loads(first)
    change(record)
    path.write_text('\n'.join([json.dumps(record), *others]))


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda record: record.pop('ID'), 'has no "ID"'),
        (lambda record: record.pop('gtboxes'), 'has no "gtboxes"'),
        (lambda record: record['gtboxes'][0].pop('hbox'), r'\[0\] has no "hbox"'),
        (lambda record: record['gtboxes'][1].update(fbox=None), r'\[1\]: "fbox" is'),
        (
            lambda record: record['gtboxes'][0].update(extra=dict(ignore='0')),
            '"ignore" is \'0\'',
        ),
    ],
)
def test_records_are_named(change, message, root):
    path = root / 'annotation_train.odgt'
    assert len(read_crowdhuman(path)) == len(path.read_text().splitlines())
    change_line(path, change)
    with pytest.raises(ValueError, match=f'{path}:1.*{message}'):
        read_crowdhuman(path)


def test_lines_are_named(root):
    path = root / 'annotation_train.odgt'
    text = path.read_text()
    for wrong, message in (
        (text.encode('utf-8-sig'), 'begins with a byte-order mark'),
        (text.encode('utf-16-le'), 'not JSON'),
        (text.replace('\n', '\n\n', 1).encode(), 'odgt:2: not JSON'),
        ((text.splitlines()[0] + '\n' + text).encode(), 'odgt:2: .* appears twice'),
    ):
        path.write_bytes(wrong)
        with pytest.raises(ValueError, match=message):
            read_crowdhuman(path)


@pytest.mark.parametrize('content', [None, '{"a": [1,', '{"ID": null}'])
def test_cache_of_sizes_is_updated(content, root):
    """MMDetection trusts a cache that is missing, truncated or of other images."""
    path, file = root / 'annotation_train.odgt', root / 'id_hw_train.json'
    if content is not None:
        file.write_text(content.replace('ID', json.loads(path.open().readline())['ID']))
    check_annotations(crowdhuman(root))
    time = file.stat().st_mtime_ns
    config = crowdhuman(root)
    from mmdet.datasets import CrowdHumanDataset

    del config['type']
    dataset = quietly(lambda: CrowdHumanDataset(**config))
    for i in range(len(dataset)):
        entry = dataset.get_data_info(i)
        size = entry['width'], entry['height']
        assert Image.open(entry['img_path']).size == size
    check_annotations(crowdhuman(root))
    assert file.stat().st_mtime_ns == time


def test_images_are_named(root):
    (image, other) = sorted((root / 'Images').glob('train*'))[:2]
    for content in (b'', b'no image'):
        image.write_bytes(content)
        with pytest.raises(ValueError, match=f'{image}: is empty or not an image'):
            check_annotations(crowdhuman(root))
    other.unlink()
    with pytest.raises(FileNotFoundError, match=f'1 of .* there: {other}'):
        check_annotations(crowdhuman(root))


def test_boxes_without_area_are_counted(root):
    assert check_annotations(crowdhuman(root)) == []
    path = root / 'annotation_train.odgt'
    change_line(path, lambda record: record['gtboxes'][0]['fbox'].__setitem__(3, 0))
    (line,) = check_annotations(crowdhuman(root))
    assert 'boxes have no area' in line
    (root / 'boxes.odgt').write_text(path.read_text())
    with pytest.raises(ValueError, match='"train" or "val" in the names .*; rename'):
        check_annotations(dict(crowdhuman(root), ann_file='boxes.odgt'))
