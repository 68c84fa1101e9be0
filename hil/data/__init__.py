"""The data sets a training run uses: from the package, from the official files, or the user's own.

Whatever the source, a run gets one :class:`Dataset`, checked in full and with the hash of its content.
"""

from hil.data.dataset import Dataset, batches
from hil.data.load import load_dataset
from hil.data.spec import DATASETS, DataSpec

__all__ = ["DATASETS", "DataSpec", "Dataset", "batches", "load_dataset"]
