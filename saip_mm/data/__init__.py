from .apply_views import ApplyViews
from .concat import ConcatPeople
from .draw_views import DrawViews
from .drawn import SyntheticPeople, SyntheticScenes
from .masked_view import ApplyMaskedView, DrawMaskedView
from .pack_views import PackViews
from .people import LoadPersonImage, PeopleDataset, ReadImage
from .person_images import PersonImages
from .sampler import StatelessSampler
from .sharded_images import ShardedImages
