"""Which errors of a tool are one line."""

import json
from pathlib import Path

import pytest
from mmengine.registry import Registry

from saip_mm.errors import one_line_errors
from saip_mm.files import read_text
from saip_mm.training.config import _unquote

THINGS = Registry('thing')


@THINGS.register_module()
class Thing:
    def __init__(self, size: int) -> None:
        self.size = size + 1


def key_of_nothing() -> None:
    raise KeyError('quoted')


@pytest.mark.parametrize(
    'fails, line',
    [
        (lambda: Path('none.txt').read_text(), 'none.txt'),
        (lambda: read_text(__file__.replace('errors.py', 'none.py')), 'test_none.py'),
        (lambda: THINGS.build(dict(type='Think')), 'Think is not in'),
        (lambda: THINGS.build(dict(type='Thing', sise=1)), "argument 'sise'"),
    ],
)
def test_what_a_user_can_mend_is_one_line(fails, line, capsys):
    with pytest.raises(SystemExit) as stop, one_line_errors(status=2):
        fails()
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ') and line in error
    assert error.count('\n') == 1 and not error.startswith(('error: "', "error: '"))


def test_what_the_project_raises_on_purpose_is_one_line(tmp_path, capsys):
    (tmp_path / 'a').write_bytes(b'\xff')
    with pytest.raises(SystemExit) as stop, one_line_errors():
        read_text(tmp_path / 'a')
    assert stop.value.code == 1
    assert capsys.readouterr().err.startswith(f'error: {tmp_path}/a: not UTF-8 text')


@pytest.mark.parametrize(
    'fails, kind',
    [
        (lambda: json.loads('{'), ValueError),  # of a library
        (lambda: THINGS.build(dict(type='Thing', size='')), TypeError),
        (lambda: _unquote(None), TypeError),  # a bug of the project
        (lambda: {}['key'], KeyError),
        (key_of_nothing, KeyError),
    ],
)
def test_what_nobody_expected_keeps_its_traceback(fails, kind):
    with pytest.raises(kind), one_line_errors():
        fails()


def test_ctrl_c(capsys):
    with pytest.raises(SystemExit) as stop, one_line_errors():
        raise KeyboardInterrupt
    assert stop.value.code == 130 and capsys.readouterr().err == 'interrupted\n'
