"""Packaging of saip_mm: ranges here, the exact versions tested in constraints.txt."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent

# OpenMMLab's libraries install these in `<package>/.mim`, where MIM and
# `_base_ = 'saip_mm::…'` look for them.
MIM_CONTENT = ('configs', 'tools', 'model-index.yml')
CLONE_ONLY = ('install.sh', 'benchmark.py')  # they need setup.py, and tests

# The versions in constraints.txt are tested; docs/verification.md lists others.
# The base installation requires none but BASE, for environments that have the rest: the
# onedl-* packages have the import names of upstream's mmengine, mmcv and mmpretrain,
# which must not be overwritten.
BASE = ('safetensors>=0.5,<0.9',)  # the packaged weights; depends on nothing
PRETRAIN = (
    *BASE,
    'torch>=2.11,<2.16',
    'torchvision>=0.26,<0.30',
    'numpy>=2.0,<2.5',
    'pillow>=11.3,<14',
    'onedl-mmengine>=0.10.12,<0.11',
    'onedl-mmcv>=2.3.6,<2.4',
    'onedl-mmpretrain>=1.3.6,<1.4',
    # Required by onedl-mmcv; listed for its range only. `tools/install.sh` replaces it
    # by opencv-python-headless, the same cv2 without libGL.
    'opencv-python>=4.10,<6',
    'jinja2>=3.1,<4',
    'matplotlib>=3.9,<3.12',
    'pyyaml>=6.0,<7',
    'rich>=13,<16',
    'tensorboard>=2.18,<2.22',
)
# Compiled mmcv ops, mmpose and xtcocotools need further steps that an extra cannot
# express: see `tools/install.sh`.
DOWNSTREAM = (
    *PRETRAIN,
    'numpy>=2.0,<2.4',  # MMPose draws circles of a radius that later ones refuse
    'onedl-mmdetection>=3.5.1,<3.6',
    'onedl-mmsegmentation>=1.4.2,<1.5',
    'json-tricks>=3.17,<4',
    'munkres>=1.1,<4',
    'open_clip_torch>=3.2,<4',
    'pycocotools>=2.0.7,<3',
    'scipy>=1.13,<1.18',
    'cython>=3.0,<4',
    'ninja>=1.11,<2',
    'setuptools>=80,<82',
    'wheel>=0.43,<1',
)
# torch's exporter imports onnxscript.
ONNX = ('onnx>=1.18,<1.24', 'onnxruntime>=1.20,<1.33', 'onnxscript>=0.5.4,<0.8')
# Teachers of distillation that timm builds.
TIMM = ('timm>=1.0.20,<1.1',)
# Millions of images in few large files.
SHARDS = ('litdata>=0.2.70,<0.3',)
DEV = (
    *ONNX,
    *SHARDS,
    'fashionpedia>=1.1,<2',
    'pytest>=8,<10',
    'pytest-timeout>=2.3,<3',
    'pytest-xdist>=3.6,<4',
    'hypothesis>=6.100,<7',
    'import-linter>=2.5,<3',
    'ruff>=0.17.5,<0.18',
    'scikit-learn>=1.5,<1.10',
    'scipy>=1.13,<1.18',
    'setuptools>=80,<82',
    *TIMM,
)


def version() -> str:
    text = (ROOT / 'saip_mm' / '__init__.py').read_text()
    return re.search(r"^__version__ = '(.+)'$", text, re.MULTILINE)[1]


class BuildWithConfigs(build_py):
    """Adds `MIM_CONTENT` to the build, without changing the source tree."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        mim = Path(self.build_lib) / 'saip_mm' / '.mim'
        shutil.rmtree(mim, ignore_errors=True)
        mim.mkdir(parents=True)
        for source in filter(Path.exists, (ROOT / name for name in MIM_CONTENT)):
            if source.is_dir():
                ignored = shutil.ignore_patterns('__pycache__', *CLONE_ONLY)
                shutil.copytree(source, mim / source.name, ignore=ignored)
            else:
                shutil.copy2(source, mim)


setup(
    name='saip_mm',
    version=version(),
    description='Scale-aware pretraining of lightweight human-centric backbones',
    license='Apache-2.0',
    license_files=['LICENSE'],
    packages=find_packages(include=['saip_mm', 'saip_mm.*']),
    package_data={
        'saip_mm': ['weights/*.safetensors'],
        'saip_mm.report': ['*.jinja'],
    },
    python_requires='>=3.10,<3.15',
    install_requires=list(BASE),
    extras_require={
        'pretrain': list(PRETRAIN),
        'downstream': list(DOWNSTREAM),
        'shards': list(SHARDS),
        'onnx': list(ONNX),
        'timm': list(TIMM),
        'dev': list(DEV),
    },
    cmdclass={'build_py': BuildWithConfigs},
    zip_safe=False,
)
