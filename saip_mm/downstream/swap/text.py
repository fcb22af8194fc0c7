"""Configs as readable Python source."""

from collections.abc import Sequence
from pathlib import Path

from .stock import Stock

_WIDTH = 88


def config_text(
    stock: Stock, changes: dict, out: Path, unused: Sequence[int] = ()
) -> str:
    """A config that inherits ``stock`` and states ``changes``.

    Args:
        stock: The config to inherit.
        changes: Settings by name.
        out: Where it will be.
        unused: Levels of the backbone that nothing learns from.
    """
    note = ''
    if unused:
        levels = ', '.join(map(str, unused))
        note = f"Nothing learns from level {levels}: it keeps the ViT's own stride.\n"
    parts = [
        f'"""{stock.name}\nwith a pretrained SAIPViT backbone.\n\n'
        f'Written by tools/swap_backbone.py: it states what differs.\n{note}'
        f'Train it with\n\n    python tools/train.py {out}\n"""\n',
        f'_base_ = {_long(stock.base)}\n',
    ]
    parts += [
        f'{key} = {source(value, 0, len(key) + 3)}' for key, value in changes.items()
    ]
    return '\n'.join(parts) + '\n'


def _long(base: str) -> str:
    too_long = len(f'_base_ = {base}') > _WIDTH
    return f'{base}  # noqa: E501' if too_long else base


def source(value: object, indent: int = 0, before: int = 0) -> str:
    """A value of a config as source: on one line if it fits, else a line per item.

    Args:
        value: Numbers, strings, None, and dicts, lists and tuples of such.
        indent: Columns before the line.
        before: Columns of the line that are taken already, besides the indentation.
    """
    line = _one_line(value)
    if indent + before + len(line) + 1 <= _WIDTH or not isinstance(
        value, dict | list | tuple
    ):
        return line
    inner = ' ' * (indent + 4)
    if isinstance(value, dict):
        named = all(_is_name(key) for key in value)
        names = [f'{key}=' if named else f'{key!r}: ' for key in value]
        items, brackets = list(value.values()), ('dict(', ')') if named else '{}'
    else:
        names, items = [''] * len(value), list(value)
        brackets = '[]' if isinstance(value, list) else '()'
    lines = [
        f'{inner}{name}{source(item, indent + 4, len(name))},\n'
        for name, item in zip(names, items, strict=True)
    ]
    return f'{brackets[0]}\n{"".join(lines)}{" " * indent}{brackets[1]}'


def _one_line(value: object) -> str:
    if isinstance(value, dict):
        if all(_is_name(key) for key in value):
            return f'dict({", ".join(f"{k}={_one_line(v)}" for k, v in value.items())})'
        pairs = [f'{key!r}: {_one_line(item)}' for key, item in value.items()]
        return f'{{{", ".join(pairs)}}}'
    if isinstance(value, list):
        return f'[{", ".join(map(_one_line, value))}]'
    if isinstance(value, tuple):
        comma = ',' if len(value) == 1 else ''
        return f'({", ".join(map(_one_line, value))}{comma})'
    return repr(value)


def _is_name(key: object) -> bool:
    return isinstance(key, str) and key.isidentifier()
