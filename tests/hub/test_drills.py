"""What goes wrong in a class of thirty, on a hub with real users: each test does it."""

import json
import subprocess
from pathlib import Path

import nbformat
import psutil
import pytest
import requests
from bs4 import BeautifulSoup

from .client import Person, until
from .machine import CODE, ROOT, TEACHER

pytestmark = [pytest.mark.slow, pytest.mark.hub]


def users():
    return subprocess.check_output(["getent", "passwd"], text=True)


# Who comes in


@pytest.mark.parametrize(
    ("name", "code", "password", "sentence"),
    [
        ("fay", "wrong", "long and seldom", "This is not the code of the class"),
        ("root", CODE, "long and seldom", "The name root is taken"),
        ("daemon", CODE, "long and seldom", "The name daemon is taken"),
        (TEACHER, CODE, "long and seldom", f"The name {TEACHER} is taken"),
        ("../fay", CODE, "long and seldom", "A name has 2 to 20 small letters"),
        ("fay\nbob", CODE, "long and seldom", "A name has 2 to 20 small letters"),
        ("-fay", CODE, "long and seldom", "A name has 2 to 20 small letters"),
        ("fay", CODE, "short", "a password has at least 8 characters"),
        ("fay", CODE, "password1", "is not one of the commonest"),
    ],
)
def test_a_wrong_code_name_or_password_is_refused_in_one_sentence(
    hub, name, code, password, sentence
):
    before = users()
    person = Person(hub.url, name, password)
    assert sentence in person.sign_up(code).text
    assert not person.log_in() and users() == before


def test_two_students_cannot_have_one_name(hub):
    ada = hub.student("ada-drill")
    for name in ("ada-drill", "Ada-Drill"):
        other = Person(hub.url, name, "another password")
        assert "The name ada-drill is taken" in other.sign_up(CODE).text
        assert not other.log_in()
    assert ada.log_in()


def test_who_is_not_admitted_does_not_come_in(hub):
    gil = Person(hub.url, "gil-drill")
    gil.sign_up(CODE)
    assert not gil.log_in() and "gil-drill" not in users()
    gil.admit("gil-drill")
    assert not gil.log_in(), "nobody admits themselves"
    hub.student("ada-drill").admit("gil-drill")
    assert not gil.log_in(), "no student admits others"


@pytest.mark.parametrize("admitted", [True, False])
def test_a_password_that_is_guessed_fifty_times_is_locked(hub, admitted):
    name = f"hal-drill-{admitted:d}"
    hal = Person(hub.url, name)
    hal.sign_up(CODE)
    if admitted:
        hub.teacher().admit(name)
    wait = "wait ten minutes" if admitted else "Your teacher has not admitted this name yet"
    for guess in range(50):
        page = hal.form("/hub/login", username=name, password=f"guess {guess}").text
        assert (wait in page) == (guess >= 5 or not admitted)
    assert wait in hal.form("/hub/login", username=name, password=hal.password).text
    assert hub.student("ada-drill").log_in(), "others are not locked"


# What is handed out


def test_a_first_login_has_the_notebooks_and_an_update_overwrites_nothing(hub):
    ada = hub.student("ada-drill")
    listed = {entry["name"] for entry in ada.contents("lessons").json()["content"]}
    lessons = {path.name for path in (hub.clone / "notebooks").glob("*.ipynb")}
    assert lessons <= listed and not any("solution" in name for name in listed)
    name = "01_mse_baseline.ipynb"
    mine = ada.contents(f"lessons/{name}").json()["content"]
    mine["cells"][0]["source"] = "My own words"
    saved = ada.contents(f"lessons/{name}", "PUT", json={"type": "notebook", "content": mine})
    assert saved.ok
    for path in sorted(lessons)[:2]:
        notebook = nbformat.read(hub.folder / "handout" / path, 4)
        notebook.cells[0].source = notebook.cells[1].source = "A newer lesson"
        nbformat.write(notebook, hub.folder / "handout" / path)
    author = ["-c", "user.name=course", "-c", "user.email=course@localhost"]
    commit = ["git", *author, "commit", "--quiet", "--all", "--message=newer"]
    subprocess.run(commit, cwd=hub.folder / "handout", check=True)
    ada.stop()
    ada.start()
    first, second = (
        ada.contents(f"lessons/{path}").json()["content"]["cells"] for path in sorted(lessons)[:2]
    )
    assert first[0]["source"] == "My own words"
    assert second[0]["source"] == "A newer lesson"


def test_all_kernels_share_one_copy_of_mnist(hub):
    if not (hub.folder / "images" / "mnist.npz").exists():
        pytest.skip("needs data/mnist.npz")
    kernel = hub.student("ada-drill").kernel()
    printed, error = kernel.run(
        "import helpers; data = helpers.load_images('mnist')\n"
        "print([line.split()[-1] for line in open('/proc/self/maps') if 'pages.npy' in line][0])"
    )
    assert (printed.strip(), error) == (f"{hub.folder}/images/mnist.pages.npy", None)
    assert not list((hub.folder / "homes" / "ada-drill").rglob("*.npy"))


# Memory


def test_a_kernel_that_eats_all_memory_ends_alone_and_says_so(hub):
    ada, ben = hub.student("ada-drill"), hub.student("ben-drill")
    other = ben.kernel()
    other.run("kept = 42")
    kernel = ada.kernel()
    assert kernel.run("eaten = [bytearray(b'x' * 2 ** 27) for _ in range(40)]")[1] == "died"
    assert other.run("print(kept)") == ("42\n", None)
    assert ada.served(), "her server goes on"
    printed, error = until(lambda: again(kernel, "print('here')"), what="a new kernel")
    assert error is None and "This kernel is new: the last one was ended" in printed
    assert "your 2.0 GB of memory" in printed and printed.endswith("here\n")
    assert kernel.run("print('here')") == ("here\n", None), "it is said once"


def again(kernel, code):
    kernel.close()
    kernel.connect()
    return kernel.run(code)


# What others may not read


LOOK = """
import json, os, pathlib, subprocess
def tried(what):
    try:
        return str(what())[:200]
    except Exception as error:
        return type(error).__name__
"""


def refused(kernel, expression):
    printed, error = kernel.run(f"{LOOK}\nprint(tried(lambda: {expression}))")
    assert error is None
    return printed.strip()


def test_a_student_reads_no_other_home_no_answer_and_no_secret(hub):
    kernel = hub.student("ada-drill").kernel()
    hub.student("ben-drill"), hub.teacher()
    folder = hub.folder
    for path in ("homes", "homes/ben-drill", f"homes/{TEACHER}", "answers", "clone", "hub"):
        assert refused(kernel, f"os.listdir({str(folder / path)!r})") == "PermissionError", path
    for path in (
        "clone/lessons/03_kl_sparsity.md",
        "clone/notebooks/solutions/03_kl_sparsity_solutions.ipynb",
        "answers/source/03_kl_sparsity/03_kl_sparsity.ipynb",
        "homes/ben-drill/lessons/01_mse_baseline.ipynb",
        "hub/jupyterhub.sqlite",
        "hub/jupyterhub_cookie_secret",
    ):
        assert (folder / path).exists()
        assert refused(kernel, f"open({str(folder / path)!r}).read()") == "PermissionError", path
    for path in ("env/x", "handout/x", "images/x", f"{folder}/x", "hub/x", "homes/x"):
        assert refused(kernel, f"open({str(folder / path)!r}, 'w')") == "PermissionError", path
    answer = "encoder.bias.assign(np.full(196"
    assert answer in (ROOT / "lessons" / "03_kl_sparsity.md").read_text(encoding="utf-8")
    search = f"subprocess.run(['grep', '-rlF', {answer!r}, {str(folder)!r}], capture_output=True)"
    assert refused(kernel, f"{search}.stdout") == "b''"


def test_a_student_reads_no_other_environment_kernel_or_control_group(hub):
    kernel = hub.student("ada-drill").kernel()
    theirs = hub.student("ben-drill").kernel()
    pid = int(theirs.run("import os; print(os.getpid())")[0])
    assert refused(kernel, f"open('/proc/{pid}/environ').read()") == "PermissionError"
    assert refused(kernel, f"os.kill({pid}, 9)") == "PermissionError"
    printed, _ = theirs.run("import ipykernel; print(ipykernel.get_connection_info())")
    assert json.loads(printed)["transport"] == "ipc", "others can connect to a port"
    group = hub.folder.name
    assert refused(kernel, f"os.listdir('/run/{group}/ben-drill')") == "PermissionError"
    limits = [*Path("/sys/fs/cgroup").glob(f"**/{group}/ada-drill/*m*.*")]
    assert limits
    for path in limits:
        assert refused(kernel, f"open({str(path)!r}, 'w')") == "PermissionError"


def test_a_student_opens_no_other_server_token_or_route(hub):
    ada = hub.student("ada-drill")
    hub.student("ben-drill")
    for path in ("lab", "api/contents", "api/kernels", "api/terminals"):
        for whose in ("ben-drill", TEACHER):
            answer = ada.ask("GET", f"/user/{whose}/{path}")
            assert answer.status_code in (403, 404) and "content" not in answer.headers, path
    for path in ("users", "users/ben-drill", "users/ben-drill/tokens", "proxy", "services"):
        answer = ada.ask("GET", f"/hub/api/{path}")
        listed = answer.json() if answer.ok else None
        assert answer.status_code in (403, 404) or listed in ([], {}), path
    assert ada.ask("GET", "/hub/admin").status_code == 403
    assert ada.ask("GET", "/hub/authorize").status_code == 403
    assert ada.ask("DELETE", "/hub/api/users/ben-drill/server").status_code in (403, 404)
    # The same from inside, with the token of her server.
    kernel = ada.kernel()
    inside = """
import requests
token = {"Authorization": "token " + os.environ["JUPYTERHUB_API_TOKEN"]}
api = os.environ["JUPYTERHUB_API_URL"]
print(json.dumps([
    requests.get(f"{api}/users/ben-drill", headers=token).status_code,
    requests.get(f"{api}/users/ben-drill/tokens", headers=token).status_code,
    requests.get(f"{api}/proxy", headers=token).status_code,
    requests.get("http://127.0.0.1:8001/api/routes").status_code,
    requests.post("http://127.0.0.1:8001/api/routes/user/ben-drill", json={"target": "http://127.0.0.1:1"}).status_code,
]))
"""
    printed, error = kernel.run(LOOK + inside)
    assert error is None and set(json.loads(printed)) <= {403, 404}
    ports = [
        connection.laddr.port
        for connection in psutil.net_connections("tcp")
        if connection.status == "LISTEN" and is_server(connection.pid, "ben-drill")
    ]
    assert ports
    for port in ports:
        answer = requests.get(f"http://127.0.0.1:{port}/user/ben-drill/api/contents")
        assert answer.status_code == 403


def is_server(pid, name):
    process = psutil.Process(pid)
    return process.username() == name and "jupyterhub-singleuser" in " ".join(process.cmdline())


# What dies


def test_the_proxy_dies_and_kernels_go_on(hub):
    ada = hub.student("ada-drill")
    kernel = ada.kernel()
    kernel.run("kept = 42")
    hub.kill_proxy()
    until(lambda: hub.answers() and ada.served(), what="the way back to the server")
    assert again(kernel, "print(kept)") == ("42\n", None)


def test_the_hub_dies_students_go_on_and_it_finds_them_again(hub):
    ada = hub.student("ada-drill")
    kernel = ada.kernel()
    kernel.run("kept = 42")
    hub.kill()
    assert kernel.run("print(kept)") == ("42\n", None)
    text = {"type": "file", "format": "text", "content": "saved meanwhile"}
    assert ada.contents("meanwhile.txt", "PUT", json=text).ok
    hub.start()
    until(ada.served, what="the way back to the server")
    assert again(kernel, "print(kept)") == ("42\n", None)
    assert f"/user/{ada.name}/" in ada.ask("GET", f"/hub/api/users/{ada.name}").text


def test_all_dies_and_homes_are_there(hub):
    ada = hub.student("ada-drill")
    text = {"type": "file", "format": "text", "content": "mine"}
    assert ada.contents("kept.txt", "PUT", json=text).ok
    hub.kill_all()
    hub.start()
    assert ada.log_in()
    ada.start()
    assert ada.contents("kept.txt").json()["content"] == "mine"


def test_a_full_disk_takes_no_work_that_was_saved(hub):
    ivy = Person(hub.url, "ivy-drill")
    ivy.sign_up(CODE)
    hub.teacher().admit(ivy.name)
    assert ivy.log_in()
    home = hub.folder / "homes" / ivy.name
    owner = f"uid={home.stat().st_uid},gid={home.stat().st_gid},mode=0700,size=40m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", owner, "tmpfs", home], check=True)
    try:
        ivy.start()
        text = {"type": "file", "format": "text", "content": "kept"}
        assert ivy.contents("work.txt", "PUT", json=text).ok
        kernel = ivy.kernel()
        fill = "import os\nwith open('full', 'wb') as file:\n    file.write(bytes(60_000_000))"
        assert "No space left on device" in kernel.run(fill)[1]
        text["content"] = "new " * 10_000
        answer = ivy.contents("work.txt", "PUT", json=text)
        assert answer.status_code == 500 and "No space left on device" in answer.text
        assert ivy.contents("work.txt").json()["content"] == "kept"
        assert ivy.kernel("another.ipynb").run("print('runs')") == ("runs\n", None)
        ivy.stop()
        ivy.start()
        assert ivy.kernel().run("os = __import__('os'); os.remove('full')")[1] is None
        assert ivy.contents("work.txt", "PUT", json=text).ok
        ivy.stop()
    finally:
        subprocess.run(["umount", home], check=True)


# Handing out and in


HOSTILE = "<script>stolen()</script><img src=x onerror=stolen()>"
TOO_LATE = "2020-01-01 12:00:00 UTC"


def shell(kernel, command, folder="."):
    """Run a command where a terminal of its owner would: what it says."""
    code = f"""
import subprocess
done = subprocess.run({command!r}, shell=True, cwd={folder!r}, capture_output=True, text=True)
print(done.returncode, done.stdout, done.stderr)
"""
    printed, error = again(kernel, code)  # who says nothing for long is cut off
    assert error is None and printed.startswith("0 "), printed + str(error)
    return printed


@pytest.fixture(scope="module")
def handed_in(hub):
    """The teacher's kernel, after a hand-in behind the deadline with a hostile output."""
    teacher = hub.teacher()
    teacher.start()
    grading = teacher.kernel()
    cell = nbformat.v4.new_code_cell("answer = ...")
    cell.metadata.nbgrader = {
        "grade": True, "solution": True, "locked": False, "points": 1, "grade_id": "answer",
        "schema_version": 3, "task": False,
    }  # fmt: skip
    source = hub.folder / "homes" / TEACHER / "grading" / "source"
    assert (source / "03_kl_sparsity" / "03_kl_sparsity.ipynb").exists()
    notebook = nbformat.writes(nbformat.v4.new_notebook(cells=[cell]))
    grading.run(
        "import pathlib; folder = pathlib.Path('grading/source/tiny'); folder.mkdir()\n"
        f"(folder / 'tiny.ipynb').write_text({notebook!r})"
    )
    shell(grading, "nbgrader generate_assignment tiny", "grading")
    shell(grading, f"nbgrader db assignment add tiny --duedate='{TOO_LATE}'", "grading")
    shell(grading, "nbgrader release_assignment tiny", "grading")
    ada = hub.student("ada-drill")
    hers = ada.kernel()
    shell(hers, "nbgrader fetch_assignment tiny")
    notebook = ada.contents("tiny/tiny.ipynb").json()["content"]
    notebook["cells"][0]["source"] = f"from IPython.display import HTML\nHTML({HOSTILE!r})"
    bundle = {"output_type": "display_data", "data": {"text/html": HOSTILE}, "metadata": {}}
    notebook["cells"][0]["outputs"] = [bundle]
    saved = {"type": "notebook", "content": notebook}
    assert ada.contents("tiny/tiny.ipynb", "PUT", json=saved).ok
    shell(hers, "nbgrader submit tiny")
    return grading


def test_a_hand_in_after_the_deadline_is_taken_and_marked_late(hub, handed_in):
    shell(handed_in, "nbgrader collect tiny", "grading")
    late = """
from nbgrader.api import Gradebook
with Gradebook("sqlite:///gradebook.db") as book:
    [one] = book.assignment_submissions("tiny")
    print(one.student.id, one.total_seconds_late > 0)
"""
    shell(handed_in, "nbgrader autograde tiny", "grading")
    look = f"import os; os.chdir('grading')\n{late}\nos.chdir('..')"
    printed, error = again(handed_in, look)
    assert (printed, error) == ("ada-drill True\n", None)


def test_a_hostile_output_reaches_the_teacher_without_its_script(hub, handed_in):
    teacher = hub.teacher()
    shell(handed_in, "nbgrader collect tiny --update", "grading")
    shell(handed_in, "nbgrader autograde tiny --force", "grading")
    listed = teacher.ask("GET", f"{teacher.server}/formgrader/api/submitted_notebooks/tiny/tiny")
    [submission] = listed.json()
    page = teacher.ask("GET", f"{teacher.server}/formgrader/submissions/{submission['id']}/")
    shown = BeautifulSoup(page.text, "html.parser")
    assert "stolen" in shown.select_one("#notebook").get_text(), "the submission is shown"
    assert not any("stolen" in script.text for script in shown.find_all("script"))
    assert not shown.select("[onerror]")
    # In JupyterLab: an output of somebody else is not trusted, and shown without scripts.
    [cell] = teacher.contents("grading/submitted/ada-drill/tiny/tiny.ipynb").json()["content"][
        "cells"
    ]
    assert cell["outputs"][0]["data"]["text/html"] == HOSTILE
    assert not cell["metadata"]["trusted"]


def test_what_was_handed_in_is_read_by_the_teacher_alone(hub, handed_in):
    ben = hub.student("ben-drill").kernel()
    inbound = f"{hub.folder}/exchange/sparse-autoencoders/inbound"
    assert refused(ben, f"os.listdir({inbound!r})") == "PermissionError"
    page = hub.student("ben-drill").ask("GET", "/user/ben-drill/formgrader")
    assert page.status_code == 404, "a formgrader is the teacher's"
