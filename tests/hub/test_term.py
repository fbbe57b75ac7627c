"""A term ends, behind all drills: nothing of the class is there then."""

import subprocess
import tarfile

import pytest


@pytest.mark.slow
@pytest.mark.hub
def test_a_backup_has_homes_and_accounts_and_an_end_leaves_nothing(hub):
    hub.student("ada-drill")
    assert hub.make("hub-backup").wait() == 0
    [archive] = hub.folder.glob("hub/backup-*.tar.gz")
    assert archive.stat().st_mode & 0o777 == 0o600
    with tarfile.open(archive) as saved:
        names = set(saved.getnames())
    assert {"homes/ada-drill/lessons/01_mse_baseline.ipynb", "hub/jupyterhub.sqlite"} <= names
    assert hub.end()
    assert "-drill" not in subprocess.check_output(["getent", "passwd"], text=True)
    assert not (hub.folder / "homes").exists()
