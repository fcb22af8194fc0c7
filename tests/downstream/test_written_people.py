"""Data sets written by tools/make_synthetic.py can be read."""

from pathlib import Path

import pytest
from written_formats import root

from saip_mm.downstream.attributes import PA100K, PETA
from saip_mm.downstream.reid import MSMT17, Market1501
from saip_mm.downstream.text_retrieval import CUHKPEDES, ICFGPEDES

READERS = {'market1501': Market1501, 'msmt17': MSMT17, 'pa100k': PA100K, 'peta': PETA}
READERS |= {'cuhk-pedes': CUHKPEDES, 'icfg-pedes': ICFGPEDES}


@pytest.mark.parametrize('name', READERS)
def test_read_as_written(name):
    folder = root(name) / ('MSMT17_V1' if name == 'msmt17' else '')
    train, test = (
        [e['img_path'] for e in READERS[name](data_root=str(folder), split=split)]
        for split in ('train', 'test')
    )
    assert len(train) >= 8 and len(test) > 0 and not set(train) & set(test)
    assert all(Path(path).is_file() for path in train + test)
