"""``zssd track`` follows members, never their mean."""

from tests.commands.conftest import FAST


def test_the_mean_of_members_is_not_tracked(zssd, model, tmp_path) -> None:
    out = tmp_path / "out.nc"
    assert zssd("downscale", model(), *FAST, "--members", 2, "--keep-spread", "-o", out).code == 0
    done = zssd("track", out, "-o", tmp_path / "tracks.csv")
    assert done.code == 1
    assert "the mean is smoother than weather" in done.err
    assert not (tmp_path / "tracks.csv").exists()
