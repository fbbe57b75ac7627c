"""The hub's settings; `make hub` passes FOLDER, TEACHER, CODE, URL, CERT and KEY."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from students import (  # noqa: E402
    FOLDER,
    GROUP,
    HOMES,
    RUN,
    TEACHER,
    ClassAuthenticator,
    StudentSpawner,
)

FOR_TEACHER = str(FOLDER / "env" / "etc" / "teacher")
# A copy of the notebooks follows what is handed out, and what a student changed in it stays; the
# teacher has the answers as well. Where that fails, as on a full disk, the server starts anyway.
START = """
gitpuller "$0/handout" main lessons
mkdir --parents .jupyter && touch .jupyter/migrated  # which a server cannot write on a full disk
[ -r "$0/answers" ] && cp --recursive --no-clobber "$0/answers/." grading
exec jupyterhub-singleuser "$@"
"""
# A kernel keeps less of what it has freed: one pool for all its threads, from which large arrays
# (1 MB) go back at once; and oneDNN, which keeps what it freed, is left out.
FRUGAL = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "1000000",
    "MALLOC_TRIM_THRESHOLD_": "30000000",
    "TF_ENABLE_ONEDNN_OPTS": "0",
}
KERNELS = str(RUN / "kernels.sock")

c = get_config()  # noqa: F821, JupyterHub defines it

c.JupyterHub.bind_url = os.environ["URL"]
c.JupyterHub.ssl_cert = os.environ.get("CERT", "")
c.JupyterHub.ssl_key = os.environ.get("KEY", "")
c.JupyterHub.template_paths = [str(HERE / "templates")]
c.JupyterHub.template_vars = {"announcement_login": '<a href="signup">Sign up</a> first, once.'}

# Servers go on while the hub or the proxy does not, and are found again.
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = False

c.JupyterHub.authenticator_class = ClassAuthenticator
c.Authenticator.admin_users = {TEACHER}
c.Authenticator.allow_all = True  # whom the teacher admitted
c.Authenticator.username_pattern = r"[a-z][a-z0-9-]{1,19}\Z"
c.NativeAuthenticator.minimum_password_length = 8
c.NativeAuthenticator.check_common_password = True
c.NativeAuthenticator.allowed_failed_logins = 5
c.NativeAuthenticator.seconds_before_next_try = 600
c.LocalAuthenticator.create_system_users = True
c.LocalAuthenticator.add_user_cmd = [
    *("useradd", "--gid", GROUP, "--shell", "/bin/bash", "--key", "HOME_MODE=0700"),
    *("--create-home", "--home-dir", str(HOMES / "USERNAME")),
]

c.JupyterHub.spawner_class = StudentSpawner
c.Spawner.mem_limit = "2G"
c.Spawner.cpu_limit = max(1, os.cpu_count() / 2)
c.Spawner.start_timeout = 180
c.Spawner.http_timeout = 180
c.Spawner.default_url = "/lab/tree/lessons/01_mse_baseline.ipynb"
c.Spawner.environment = {
    **FRUGAL,
    "KERNELS_SOCKET": KERNELS,
    "JUPYTER_DEFAULT_PROVISIONER_NAME": "copies",
    "SPARSE_AUTOENCODER_IMAGES": str(FOLDER / "images"),
    "JUPYTER_RUNTIME_DIR": lambda spawner: str(RUN / spawner.user.name),
    "JUPYTER_CONFIG_PATH": lambda spawner: FOR_TEACHER if spawner.user.name == TEACHER else "",
    "GIT_CONFIG_SYSTEM": str(FOLDER / "env" / "etc" / "gitconfig"),
}
c.Spawner.cmd = ["bash", "-c", START, str(FOLDER)]
c.Spawner.args = [
    "--KernelManager.transport=ipc",  # others can connect to a port, but not to a private file
    "--MappingKernelManager.cull_idle_timeout=1200",
    "--MappingKernelManager.cull_connected=True",  # a forgotten tab keeps no kernel
]
culler = [sys.executable, "-m", "jupyterhub_idle_culler", "--timeout=3600"]
# Its memory is copied into every kernel, so it has nothing of the hub's environment.
without_secrets = ["env", "--ignore-environment", *(f"{k}={v}" for k, v in FRUGAL.items())]
kernels = [*without_secrets, sys.executable, str(HERE / "kernels.py"), KERNELS, GROUP]
c.JupyterHub.services = [
    {"name": "culler", "command": culler},
    {"name": "kernels", "command": kernels},
]
c.JupyterHub.load_roles = [
    {
        "name": "culler",
        "services": ["culler"],
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
    }
]
