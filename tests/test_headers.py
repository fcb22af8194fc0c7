"""Commands in the headers of configs and tools have arguments that are accepted."""

import argparse
import ast
import re
import shlex

import pytest
from launch import ROOT, call

from saip_mm.training.config import load_config

PATHS = [*(ROOT / 'configs').rglob('*.py'), *(ROOT / 'tools').glob('*.py')]
COMMAND = re.compile(r'^ *(?:[A-Z]+=\S+ )*(?:python )?(tools/\w+\.(?:py|sh) .*)$', re.M)


def commands() -> list[str]:
    """Those of all headers, without those that leave parts to the reader."""
    headers = [ast.get_docstring(ast.parse(path.read_text())) for path in sorted(PATHS)]
    text = '\n'.join(filter(None, headers)).replace('\\\n', ' ')
    return [' '.join(each.split()) for each in dict.fromkeys(COMMAND.findall(text))]


@pytest.mark.parametrize('command', commands())
def test_the_arguments_of_a_command_are_accepted(command, monkeypatch):
    script, *words = shlex.split(command)
    if script == 'tools/dist_train.sh':
        script, words = 'tools/train.py', [words[0], *words[2:]]
    elif script == 'tools/slurm_train.sh':
        assert len(words) >= 4, 'PARTITION JOB_NAME CONFIG WORK_DIR'
        script, words = 'tools/train.py', [words[2], '--work-dir', *words[3:]]
    parsed, parse = [], argparse.ArgumentParser.parse_args

    def parse_only(parser: argparse.ArgumentParser) -> None:
        parsed.append(parse(parser))
        raise SystemExit

    monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', parse_only)
    call(script, *words)
    (arguments,) = parsed
    config = str(getattr(arguments, 'config', ''))
    if config.startswith('configs/pretrain'):
        load_config(ROOT / config, getattr(arguments, 'cfg_options', ()))
