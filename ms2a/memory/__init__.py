"""Memory storage: sampling, clustering, files and the bank. Pure torch, numpy and faiss.

``ms2a.memory.clustering`` is imported by itself: it alone needs faiss, which training and testing do without.
"""

from ms2a.memory.bank import MemoryBank
from ms2a.memory.files import read_features, read_prototypes, write_maps
from ms2a.memory.sampling import ChannelMapSample

__all__ = ["ChannelMapSample", "MemoryBank", "read_features", "read_prototypes", "write_maps"]
