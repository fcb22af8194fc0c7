"""Writers of drawn people in the layouts of data sets."""

from .attributes import Pa100k, Peta
from .captions import CuhkPedes, IcfgPedes
from .coco import Coco, CocoWholeBody
from .crowdhuman import CrowdHuman
from .fashionpedia import Fashionpedia
from .parsing import Cihp, Lip
from .reid import Market1501, Msmt17
from .writer import FormatWriter

WRITERS: dict[str, type[FormatWriter]] = {
    writer.name: writer
    for writer in (
        *(Coco, CocoWholeBody, CrowdHuman, Lip, Cihp, Market1501, Msmt17),
        *(Pa100k, Peta, CuhkPedes, IcfgPedes, Fashionpedia),
    )
}
