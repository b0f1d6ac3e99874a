from ms2a.defaults import FILE_ENDINGS
from ms2a.storage.kinds import LOOKS


def test_each_kind_of_prototype_has_its_class_and_its_files():
    assert LOOKS.keys() == FILE_ENDINGS.keys()
    endings = [ending for look in LOOKS.values() for ending in look.endings]
    assert len(set(endings)) == len(endings)  # no two kinds share a file
