"""Backbones for ONNX runtimes."""

import json
import os
import warnings

import torch
from torch import nn

from ..files import whole_file

OPSET = 18


def write_onnx(path: str | os.PathLike, backbone: nn.Module, meta: dict) -> None:
    """Export a backbone to ONNX, for any number of images of its own size.

    The input ``images`` is float32 [batch, 3, h, w], RGB, 0–255; normalization is part
    of the network. The outputs are ``image`` [batch, C] and ``patches``
    [batch, C, h, w].

    Args:
        path: File to write, atomically.
        backbone: A :class:`~saip_mm.apis.PretrainedBackbone` on the CPU.
        meta: Metadata of the file; each value is encoded as JSON.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  (torch's exporter needs it)
    except ImportError as error:
        raise ValueError(
            f'cannot be exported to ONNX: {error.name} is not installed; '
            "run pip install '.[onnx]'"
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', FutureWarning)  # torch's, about itself
        program = torch.onnx.export(
            backbone,
            # Two images, because torch treats a batch size of 1 as a constant.
            (torch.zeros(2, 3, *backbone.img_size),),
            dynamo=True,
            opset_version=OPSET,
            input_names=['images'],
            output_names=['image', 'patches'],
            dynamic_shapes=dict(images={0: torch.export.Dim('batch')}),
            verbose=False,
        )
    model = program.model_proto
    facts = {key: json.dumps(value) for key, value in meta.items()}
    onnx.helper.set_model_props(model, facts | dict(input='"RGB, 0-255"'))
    onnx.checker.check_model(model, full_check=True)
    with whole_file(path) as partial:
        onnx.save(model, partial)
