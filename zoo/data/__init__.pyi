from .batches import Batches as Batches
from .encodings import Binary as Binary
from .encodings import Encoding as Encoding
from .encodings import Grid as Grid
from .encodings import Unit as Unit
from .image_data import ImageData as ImageData
from .loading import load_data as load_data
from .names import DATASETS as DATASETS
