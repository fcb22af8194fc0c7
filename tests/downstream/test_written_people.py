"""Our readers read what tools/make_synthetic.py writes."""

from pathlib import Path

import pytest

from saip_mm.downstream.attributes import PA100K, PETA
from saip_mm.downstream.reid import MSMT17, Market1501
from saip_mm.drawn import WRITERS

READERS = {
    'market1501': (Market1501, ''),
    'msmt17': (MSMT17, 'MSMT17_V1'),
    'pa100k': (PA100K, ''),
    'peta': (PETA, ''),
}


@pytest.mark.parametrize('name', READERS)
def test_read_as_written(tmp_path, name):
    writer = WRITERS[name](tmp_path / name, num=8, seed=0, size=(64, 32))
    writer.write()
    reader, folder = READERS[name]
    root = str(tmp_path / name / folder)
    train, test = (
        [each['img_path'] for each in reader(data_root=root, split=split)]
        for split in ('train', 'test')
    )
    assert len(train) >= writer.counts['train'] >= 8
    assert len(test) > 0
    assert not set(train) & set(test)
    assert all(Path(path).is_file() for path in train + test)
