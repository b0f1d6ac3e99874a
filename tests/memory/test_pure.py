import subprocess
import sys

SCRIPT = '''
import sys
from importlib.machinery import PathFinder

class Hiding:
    """Finds what the ordinary path finder finds, except mmcv and mmdet, as if they were not installed."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.partition(".")[0] in ("mmcv", "mmdet") else PathFinder.find_spec(name, path, target)

sys.meta_path = [Hiding if finder is PathFinder else finder for finder in sys.meta_path]
import torch
import ms2a.adaptation, ms2a.memory, ms2a.memory.clustering
from ms2a.memory import MemoryBank
bank = MemoryBank(["s"], 2, [(2, 2)])
bank.load_prototypes("s", [ms2a.memory.clustering.cluster_maps(torch.rand(9, 2, 2), 2, seed=0).centroids])
print(tuple(bank("s", 0).shape), sorted(name for name in sys.modules if name in ("mmcv", "mmdet", "ms2a.models")))
'''


def test_memory_and_adaptation_work_without_mmcv_and_mmdet():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(2, 2, 2) []"
