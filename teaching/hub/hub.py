"""What `make hub`, `make hub-backup` and `make hub-end` do. README.md beside this file tells when.

Everything of the hub is in one folder, FOLDER of the Makefile; what students may read of it:

    env/       Python, the course and JupyterHub     handout/   the notebooks, as a git repository
    images/    MNIST, and its pages of memory        exchange/  nbgrader's: handed out, handed in
    homes/     one for each student, private         proxy/     configurable-http-proxy
    answers/   the teacher's alone                   hub/       root's: accounts, secrets, backups
"""

import grp
import os
import pwd
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import limits

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
for name, usual in {
    "FOLDER": "/srv/sparse-autoencoders",  # its name is the group's, too
    "TEACHER": "teacher",
    "URL": "http://:8000",  # https://:443 with CERT and KEY, the paths of a certificate
}.items():
    os.environ.setdefault(name, usual)
FOLDER = Path(os.environ["FOLDER"])
GROUP = FOLDER.name
TEACHER = os.environ["TEACHER"]
PROXY = "configurable-http-proxy@4.6.3"  # the last one for a Node below 20
HAND_OUT, PYTHON = FOLDER / "handout", FOLDER / "env" / "bin" / "python"
KEPT = ("homes", "exchange", "hub")  # what a term leaves behind: saved by backup, deleted by end
GIT = ["git", "-c", "user.name=course", "-c", "user.email=course@localhost"]


def start():
    """Bring everything up to date, then become the hub."""
    if not os.environ.get("CODE"):
        sys.exit("Students sign up with a code that you tell them: sudo make hub CODE=...")
    prepare()
    os.environ["PATH"] = f"{FOLDER}/env/bin:{FOLDER}/proxy/node_modules/.bin:{os.environ['PATH']}"
    os.chdir(FOLDER / "hub")
    config = str(HERE / "jupyterhub_config.py")
    os.execvp("jupyterhub", ["jupyterhub", "--config", config, *sys.argv[2:]])


def prepare():
    """Environment, proxy, images, notebooks and answers, each made or brought up to date."""
    os.umask(0o022)
    os.chmod(ROOT, 0o700)  # the answers are in this clone
    folders = {"homes": 0o711, "exchange": 0o777, "answers": 0o700, "hub": 0o700}
    for name in ("images", "handout", "proxy", *folders):
        (FOLDER / name).mkdir(parents=True, exist_ok=True)
        os.chmod(FOLDER / name, folders.get(name, 0o755))
    make = [sys.executable, ROOT / "tools" / "make_environment.py", FOLDER / "env"]
    run(*make, "requirements.txt", "teaching/hub/requirements.txt")
    # A grammar that jsonschema can do without: 17 MB and 2 s of every student's server.
    run(PYTHON, "-m", "pip", "uninstall", "-qq", "--yes", "rfc3987-syntax")
    install_course()
    shutil.copytree(HERE / "etc", FOLDER / "env" / "etc", dirs_exist_ok=True)
    Path(FOLDER / "env" / "etc" / "gitconfig").write_text(
        f"[safe]\n\tdirectory = {HAND_OUT}/.git\n"
    )
    packages = next(FOLDER.glob("env/lib/python*/site-packages"))
    for name in ("memory_note.py", "kernels.py"):
        shutil.copy(HERE / name, packages)
    shutil.copytree(HERE / "kernels.dist-info", packages / "kernels.dist-info", dirs_exist_ok=True)
    try:
        run(PYTHON, "-c", "", user="nobody", cwd="/")
    except PermissionError:
        sys.exit(f"Students cannot run {sys.executable}: name a Python that all can, such as "
                 "PYTHON=/usr/bin/python3, and make hub again.")  # fmt: skip
    if not (FOLDER / "proxy" / "node_modules").exists():
        run("npm", "install", "--no-fund", "--no-audit", "--prefix", FOLDER / "proxy", PROXY)
    if GROUP not in {group.gr_name for group in grp.getgrall()}:
        run("groupadd", GROUP)
    share_images()
    hand_out()
    answers()


def install_course():
    """A copy of the course, for students cannot look into the clone; only where it changed."""
    files = [FOLDER / "env" / "made-from.json", ROOT / "helpers.py", ROOT / "pyproject.toml"]
    files += [*ROOT.glob("sparse_autoencoder/**/*.*"), *ROOT.glob("data/**/*.*")]
    now = "\n".join(f"{path} {path.stat().st_mtime_ns}" for path in sorted(files))
    installed = FOLDER / "env" / "course.txt"
    if not installed.exists() or installed.read_text() != now:
        pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        run(*pip, "--no-deps", "--no-build-isolation", "--force-reinstall", ROOT)
        installed.write_text(now)


def share_images():
    """MNIST, where it lies beside the clone or can be downloaded, and its pages for all kernels."""
    for archive in (ROOT / "data").glob("*mnist.npz"):
        if not (FOLDER / "images" / archive.name).exists():
            shutil.copy(archive, FOLDER / "images")
    if not (FOLDER / "images" / "mnist.pages.npy").exists():
        environ = os.environ | {"SPARSE_AUTOENCODER_IMAGES": str(FOLDER / "images")}
        run(PYTHON, "-c", "import helpers; helpers.load_images()", cwd=FOLDER, env=environ)


def hand_out():
    """The lessons as they are now, a commit of the repository that students' copies follow."""
    if not (HAND_OUT / ".git").exists():
        run("git", "init", "--quiet", "--initial-branch=main", HAND_OUT)
    for path in HAND_OUT.glob("*.ipynb"):
        path.unlink()
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        shutil.copy(path, HAND_OUT)
    run(*GIT, "add", "--all", cwd=HAND_OUT)
    if subprocess.run(["git", "diff", "--cached", "--quiet"], cwd=HAND_OUT).returncode:
        run(*GIT, "commit", "--quiet", "--message", "The lessons of today", cwd=HAND_OUT)


def answers():
    """An assignment of each lesson's worked answers, for nbgrader, that the teacher alone reads."""
    home = FOLDER / "homes" / TEACHER
    homes = {user.pw_name: user.pw_dir for user in pwd.getpwall()}
    if homes.get(TEACHER, str(home)) != str(home):
        sys.exit(f"{TEACHER} is a user of this machine already: name another one, TEACHER=...")
    if TEACHER not in homes:
        new = ["useradd", "--gid", GROUP, "--shell", "/bin/bash", "--key", "HOME_MODE=0700"]
        run(*new, "--create-home", "--home-dir", home, TEACHER)
    solutions = ROOT / "notebooks" / "solutions"
    shutil.copy(solutions / "nbgrader_config.py", FOLDER / "answers")
    for path in solutions.glob("*_solutions.ipynb"):
        name = path.stem.removesuffix("_solutions")
        (FOLDER / "answers" / "source" / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, FOLDER / "answers" / "source" / name / f"{name}.ipynb")
    run("chown", "--recursive", TEACHER, FOLDER / "answers")


def backup():
    """Homes, what was handed in, accounts: one file that only root can read."""
    path = FOLDER / "hub" / f"backup-{time.strftime('%Y-%m-%d-%H%M%S')}.tar.gz"
    with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
        with tarfile.open(fileobj=file, mode="w:gz") as tar:
            for name in KEPT:
                tar.add(FOLDER / name, name, filter=lambda i: None if "/backup-" in i.name else i)
    print(f"Saved {path} ({path.stat().st_size / 1e6:.0f} MB): keep a copy on another computer.")


def end():
    """Delete the accounts of the class, all that they own, and the backups that lie here."""
    for user in pwd.getpwall():
        if Path(user.pw_dir).parent == FOLDER / "homes":
            subprocess.run(["pkill", "-KILL", "--uid", str(user.pw_uid)])
            run("userdel", "--force", user.pw_name)
    rest = ["find", "/tmp", "/var/tmp", "/dev/shm", "-xdev", "-group", GROUP, "-delete"]
    subprocess.run(rest, stderr=subprocess.DEVNULL)  # other people's files come and go meanwhile
    for folder in (*(FOLDER / name for name in (*KEPT, "answers")), Path("/run", GROUP)):
        shutil.rmtree(folder, ignore_errors=True)
    limits.remove(GROUP)
    run("groupdel", GROUP)


def run(*command, **how):
    subprocess.run([str(word) for word in command], check=True, **{"cwd": ROOT} | how)


if __name__ == "__main__":
    if os.geteuid():
        sys.exit("The hub starts servers as their users, which only root can: sudo make hub ...")
    try:
        {"start": start, "backup": backup, "end": end}[sys.argv[1]]()
    except subprocess.CalledProcessError as error:
        sys.exit(f"\nStopped, since this failed: {' '.join(error.cmd)}")
