"""A non-editable installation is complete and does not change its source."""

import ast
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest
from launch import ROOT, python
from mmengine.config.utils import _get_cfg_metainfo
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NOT_SOURCE = shutil.ignore_patterns(
    '.*', 'build', 'data', 'dist', 'work_dirs', '__pycache__', '*.egg-info'
)


@pytest.fixture(scope='module')
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('source') / 'saip_mm'
    shutil.copytree(ROOT, folder, ignore=NOT_SOURCE)
    return folder


@pytest.fixture(scope='module')
def installed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which pip installed a clean copy of the source."""
    target = tmp_path_factory.mktemp('installed')
    command = [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps']
    command += ['--no-build-isolation', '--target', str(target), str(source)]
    result = subprocess.run(command, cwd=target, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return target


def files(folder: Path) -> set[Path]:
    """All files except those compiled by pip."""
    paths = (path for path in folder.rglob('*') if path.is_file())
    return {p.relative_to(folder) for p in paths if p.suffix != '.pyc'}


def test_import_from_another_folder(installed: Path, tmp_path: Path) -> None:
    code = f'import sys; sys.path.insert(0, {str(installed)!r}); import saip_mm'
    code += '; print(saip_mm.__version__, saip_mm.__file__)'
    command = [sys.executable, '-c', code]
    output = subprocess.check_output(command, cwd=tmp_path, text=True)
    (package,) = distributions(name='saip_mm', path=[str(installed)])
    assert output.split()[-2:] == [
        package.version,
        str(installed / 'saip_mm' / '__init__.py'),
    ]


def test_configs_and_tools_are_inside_the_package(installed, source):
    """And only there: the source is unchanged."""
    mim = installed / 'saip_mm' / '.mim'
    assert files(mim / 'configs') == files(source / 'configs')
    clone_only = {Path('install.sh'), Path('benchmark.py')}
    assert files(mim / 'tools') == files(source / 'tools') - clone_only
    assert not (source / 'saip_mm' / '.mim').exists()


def test_the_model_index_is_inside_the_package(installed: Path) -> None:
    """MMEngine looks up `saip_mm::pretrain/…` and its weights there."""
    found = _get_cfg_metainfo(str(installed / 'saip_mm'), 'pretrain/saip_vit-tiny.py')
    assert found['Name'] == 'saip_vit-tiny'
    assert (installed / 'saip_mm/.mim' / found['Config']).is_file()
    config = installed / 'mine.py'
    config.write_text("_base_ = 'saip_mm::pretrain/saip_small.py'\n")
    code = 'from saip_mm.training import SafeRunner\n'
    code += 'from saip_mm.training.config import load_config\n'
    code += f'cfg = load_config({str(config)!r}, dict(work_dir="run"))\n'
    code += 'print(type(SafeRunner.from_cfg(cfg).model).__name__)'
    command, env = [sys.executable, '-c', code], dict(os.environ)
    env['PYTHONPATH'] = str(installed)
    output = subprocess.check_output(command, cwd=installed, env=env, text=True)
    assert output.split()[-1] == 'SAIP'


def test_requirements_are_ranges_and_the_base_has_no_framework(installed: Path) -> None:
    (package,) = distributions(name='saip_mm', path=[str(installed)])
    requirements = [Requirement(line) for line in package.requires]
    extras = ['pretrain', 'downstream', 'shards', 'timm', 'onnx', 'dev']
    assert set(package.metadata.get_all('Provides-Extra')) == set(extras)
    assert {each.name for each in requirements if not each.marker} == {'safetensors'}
    for requirement in requirements:
        operators = {each.operator for each in requirement.specifier}
        assert operators == {'>=', '<'}, requirement
    lines = (ROOT / 'constraints.txt').read_text()
    exact = re.findall(r'^([\w-]+)==([\w.]+)', lines, re.M)
    for requirement in requirements:
        versions = [version for name, version in exact if name == requirement.name]
        fit = map(requirement.specifier.contains, versions)
        assert versions and all(fit), requirement


def test_every_imported_package_is_declared(installed: Path) -> None:
    imported = set()
    for path in installed.glob('saip_mm/**/*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split('.')[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add(node.module.split('.')[0])
    # Installed by tools/install.sh itself, or in place of a declared package.
    declared = {'saip_mm', 'mmpose', 'cv2'}
    (package,) = distributions(name='saip_mm', path=[str(installed)])
    names = {canonicalize_name(Requirement(line).name) for line in package.requires}
    # packages_distributions() of Python 3.10 misses packages without top_level.txt.
    for each in distributions():
        if canonicalize_name(each.name) in names:
            declared |= {file.parts[0].removesuffix('.py') for file in each.files}
    assert imported - declared <= sys.stdlib_module_names


def test_transformers_5_may_be_installed(tmp_path):
    """MMPretrain finds it, and cannot import its language models."""
    for name in ('transformers', 'pycocotools'):  # which it looks for
        info = tmp_path / f'{name}-5.0.0.dist-info'
        info.mkdir()
        (info / 'METADATA').write_text(f'Name: {name}\nVersion: 5.0.0\n')
    (tmp_path / 'transformers.py').write_text('')
    code = "import saip_mm; saip_mm.load_backbone('saip-small')"
    done = python('-c', code, PYTHONPATH=f'{tmp_path}{os.pathsep}{ROOT}')
    assert not done.returncode, done.stderr
