"""Export of networks to ONNX."""

import json
import os
import warnings
from collections.abc import Sequence

import torch
from torch import nn

from ..files import atomic_write

OPSET = 18


def write_onnx(
    path: str | os.PathLike, network: nn.Module, outputs: Sequence[str], meta: dict
) -> None:
    """Export a network to ONNX, atomically, for any number of images of its own size.

    Args:
        path: File to write.
        network: Takes ``images``, float32 [batch, 3, h, w], of its ``img_size``; on the
            CPU, in evaluation mode.
        outputs: Names of what it returns.
        meta: Metadata of the file; each value is encoded as JSON.

    Raises:
        ValueError: If PyTorch is too old, or packages are missing.
    """
    if torch.__version__ < (2, 6):
        raise ValueError(
            f'cannot be exported to ONNX with PyTorch {torch.__version__}: use 2.6 or '
            'newer'
        )
    try:
        import onnx
        import onnxscript  # noqa: F401  (torch's exporter needs it)
    except ImportError as error:
        raise ValueError(
            f'cannot be exported to ONNX: {error.name} is not installed; '
            'run pip install onnx onnxruntime onnxscript'
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', FutureWarning)  # torch's, about itself
        program = torch.onnx.export(
            network,
            # Two images, because torch treats a batch size of 1 as a constant.
            (torch.zeros(2, 3, *network.img_size),),
            dynamo=True,
            opset_version=OPSET,
            input_names=['images'],
            output_names=list(outputs),
            dynamic_shapes=dict(images={0: torch.export.Dim('batch')}),
            verbose=False,
        )
    model = program.model_proto
    facts = {key: json.dumps(value) for key, value in meta.items()}
    onnx.helper.set_model_props(model, facts)
    onnx.checker.check_model(model, full_check=True)
    with atomic_write(path) as partial:
        onnx.save(model, partial)
