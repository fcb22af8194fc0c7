"""Saved training configs, read as data without executing them."""

import ast
import math

from mmengine.config import Config


class _Values(ast.NodeTransformer):
    """Converts the non-literals of a dumped config to literals."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.func, ast.Name) or node.func.id != 'dict':
            return node
        if len(node.args) == 1 and isinstance(node.args[0], ast.Dict):
            return node.args[0]  # keys that are not identifiers
        if node.args or not all(word.arg for word in node.keywords):
            return node
        keys = [ast.Constant(word.arg) for word in node.keywords]
        return ast.Dict(keys, [word.value for word in node.keywords])

    def visit_Name(self, node: ast.Name) -> ast.AST:
        known = node.id in ('inf', 'nan')
        return ast.Constant(getattr(math, node.id)) if known else node


def parse_config(text: str, name: str) -> Config:
    """Read the text of a config dumped by MMEngine: plain values without inheritance.

    Raises:
        ValueError: If it contains anything else; the message begins with ``name``.
    """
    line, settings = 1, {}
    try:
        for statement in ast.parse(text).body:
            line = statement.lineno
            (target,) = statement.targets
            settings[target.id] = ast.literal_eval(_Values().visit(statement.value))
        if '_base_' in settings:
            raise ValueError('it inherits another config')
        return Config(settings)
    except Exception as error:  # ast raises many types on odd text
        line = getattr(error, 'lineno', None) or line
        raise ValueError(
            f'{name} contains more than plain values (line {line}), and only a config '
            'given on the command line is executed'
        ) from error
