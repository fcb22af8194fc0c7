"""Packaging of saip_mm: names here, versions in constraints.txt, nowhere else."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent

# OpenMMLab's libraries install these in `<package>/.mim`, where MIM and
# `_base_ = 'saip_mm::…'` look for them.
MIM_CONTENT = ('configs', 'tools', 'model-index.yml')

# The base installation requires nothing: the onedl-* packages share their import
# names with upstream's mmengine, mmcv, mmpretrain, which must not be overwritten.
PRETRAIN = (
    'torch',
    'torchvision',
    'numpy',
    'pillow',
    'onedl-mmengine',
    'onedl-mmcv',
    'onedl-mmpretrain',
    # What onedl-mmcv asks for, named only to pin it. `tools/install.sh` puts
    # opencv-python-headless, the same cv2 without need of libGL, in its place.
    'opencv-python',
    'safetensors',
    'tensorboard',
)
# Compiled mmcv ops, mmpose and xtcocotools need installation steps that an extra
# cannot express: `tools/install.sh` does them after this.
DOWNSTREAM = (
    *PRETRAIN,
    'onedl-mmdetection',
    'onedl-mmsegmentation',
    'json-tricks',
    'munkres',
    'scipy',
    'cython',
    'ninja',
    'setuptools',
    'wheel',
)
# torch's exporter needs onnxscript.
ONNX = ('onnx', 'onnxruntime', 'onnxscript')
# Millions of images in few large files.
SHARDS = ('litdata',)
DEV = (
    *ONNX,
    *SHARDS,
    'pytest',
    'pytest-xdist',
    'hypothesis',
    'ruff',
    'scikit-learn',
    'scipy',
    'setuptools',
    'timm',
)


def pinned(names: tuple[str, ...]) -> list[str]:
    """The requirement `name==version` of constraints.txt for every name."""
    lines = (ROOT / 'constraints.txt').read_text().splitlines()
    pins = {line.partition('==')[0]: line for line in lines}
    return [pins[name] for name in names]


def version() -> str:
    text = (ROOT / 'saip_mm' / '__init__.py').read_text()
    return re.search(r"^__version__ = '(.+)'$", text, re.MULTILINE)[1]


class BuildWithConfigs(build_py):
    """Adds `MIM_CONTENT` to what is built; the source tree is left alone."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        mim = Path(self.build_lib) / 'saip_mm' / '.mim'
        shutil.rmtree(mim, ignore_errors=True)
        mim.mkdir(parents=True)
        for source in filter(Path.exists, (ROOT / name for name in MIM_CONTENT)):
            if source.is_dir():
                ignored = shutil.ignore_patterns('__pycache__', 'install.sh')
                shutil.copytree(source, mim / source.name, ignore=ignored)
            else:
                shutil.copy2(source, mim)


setup(
    name='saip_mm',
    version=version(),
    description='Scale-aware pretraining of light human-centric backbones',
    license='Apache-2.0',
    license_files=['LICENSE'],
    packages=find_packages(include=['saip_mm', 'saip_mm.*']),
    python_requires='>=3.10,<3.14',
    extras_require={
        'pretrain': pinned(PRETRAIN),
        'downstream': pinned(DOWNSTREAM),
        'shards': pinned(SHARDS),
        'onnx': pinned(ONNX),
        'dev': pinned(DEV),
    },
    cmdclass={'build_py': BuildWithConfigs},
    zip_safe=False,
)
