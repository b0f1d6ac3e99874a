"""Which checkpoint of a run is the newest."""

from ms2a.engine.checkpoint import find_latest


def test_the_newest_checkpoint_is_the_link_or_that_of_the_highest_epoch(tmp_path):
    assert find_latest(tmp_path) is None and find_latest(tmp_path / "nowhere") is None
    for name in ("epoch_9.pth", "epoch_10.pth", "epoch_2.pth", "epoch_best.pth", "best_epoch_12.pth"):
        (tmp_path / name).touch()
    assert find_latest(tmp_path) == tmp_path / "epoch_10.pth"  # where links cannot be made, or one was lost
    (tmp_path / "latest.pth").symlink_to("epoch_9.pth")
    assert find_latest(tmp_path) == tmp_path / "latest.pth"
