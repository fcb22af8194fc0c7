"""Drawn people in the layouts of real data sets."""

from .attributes import Pa100k, Peta
from .coco import Coco, CocoWholeBody
from .crowdhuman import CrowdHuman
from .folder import FormatWriter, Shot
from .parsing import Cihp, Lip
from .reid import Market1501, Msmt17

WRITERS: dict[str, type[FormatWriter]] = {
    writer.name: writer
    for writer in (
        Coco,
        CocoWholeBody,
        CrowdHuman,
        Lip,
        Cihp,
        Market1501,
        Msmt17,
        Pa100k,
        Peta,
    )
}

__all__ = ['WRITERS', 'FormatWriter', 'Shot']
