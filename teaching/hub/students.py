"""Who may come in, and how a student's server starts: the hub's two classes."""

import os
import pwd
import secrets
from pathlib import Path

import limits
from jupyterhub.auth import LocalAuthenticator
from jupyterhub.handlers.login import LoginHandler
from jupyterhub.spawner import LocalProcessSpawner
from nativeauthenticator import NativeAuthenticator, handlers

FOLDER, TEACHER, CODE = Path(os.environ["FOLDER"]), os.environ["TEACHER"], os.environ["CODE"]
GROUP, HOMES = FOLDER.name, FOLDER / "homes"
# In memory, so a full disk does not matter; the names are short enough for sockets.
RUN = Path("/run") / GROUP


class SignUp(handlers.SignUpHandler):
    """Asks for the code of the class as well, and says what was wrong."""

    async def post(self):
        """Who does not know the code gets no account to be admitted."""
        given = self.get_body_argument("code", "").strip()
        if secrets.compare_digest(given.encode(), CODE.encode()):
            return await super().post()
        await self.refuse("This is not the code of the class: ask your teacher for it.")

    async def refuse(self, sentence):
        page = await self.render_template(
            "signup.html", result_message=sentence, alert="alert-danger"
        )
        self.finish(page)

    def get_result_message(self, user, human, taken, confirmed, admin):
        """One sentence, for the name and the password are the only things that can be wrong."""
        if user:
            return "alert-info", "Your teacher can admit you now; then log in."
        name = self.authenticator.normalize_username(self.get_body_argument("username"))
        if taken or self.authenticator.is_system_user(name):
            return "alert-danger", f"The name {name} is taken: choose another one."
        if not confirmed:
            return "alert-danger", "The two passwords differ: type the same one twice."
        return "alert-danger", (
            "A name has 2 to 20 small letters, digits and hyphens, and begins with a letter; a "
            f"password has at least {self.authenticator.minimum_password_length} characters and "
            "is not one of the commonest: change what does not fit."
        )


class LogIn(LoginHandler):
    """The hub's, for NativeAuthenticator's does not go with JupyterHub 6; says who must wait."""

    async def post(self):
        """A password is looked at only where it would be of use."""
        name = self.authenticator.normalize_username(self.get_body_argument("username", ""))
        account = self.authenticator.get_user(name)
        if account and not account.is_authorized:
            sentence = "Your teacher has not admitted this name yet."
        elif self.authenticator.is_blocked(name):
            sentence = "Too many wrong passwords for this name: wait ten minutes."
        else:
            return await super().post()
        self.set_status(403)
        self.finish(await self._render(login_error=sentence, username=name))


class ClassAuthenticator(NativeAuthenticator, LocalAuthenticator):
    """A student signs up, the teacher admits; each becomes a system user with a private home.

    The teacher's account is there from the start, so that nobody else can sign up for it.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if not self.user_exists(TEACHER):
            password = secrets.token_urlsafe(9)
            super().create_user(TEACHER, password)
            print(f"\nLog in as {TEACHER} with {password}, once; then change it.\n", flush=True)

    def get_handlers(self, app):
        """NativeAuthenticator's, two of them ours."""
        ours = {handlers.SignUpHandler: SignUp, handlers.LoginHandler: LogIn}
        return [(path, ours.get(page, page)) for path, page in super().get_handlers(app)]

    def create_user(self, username, password, **more):
        """Refuses the names of this machine's users, and of students whose homes are still here."""
        if not self.is_system_user(self.normalize_username(username)):
            return super().create_user(username, password, **more)

    @staticmethod
    def is_system_user(name):
        return name in {user.pw_name for user in pwd.getpwall()}


class StudentSpawner(LocalProcessSpawner):
    """Starts a student's server as the student, within limits of memory and CPU."""

    async def start(self):
        """Nobody becomes a user of this machine who is none of the class."""
        name, user = self.user.name, pwd.getpwnam(self.user.name)
        if Path(user.pw_dir) != HOMES / name:
            raise PermissionError(f"{name} is a user of this machine, not of the class.")
        limits.end(GROUP, name)
        limits.allot(GROUP, name, self.mem_limit, self.cpu_limit)
        (RUN / name).mkdir(parents=True, exist_ok=True)
        os.chmod(RUN / name, 0o700)
        os.chown(RUN / name, user.pw_uid, user.pw_gid)
        return await super().start()

    async def poll(self):
        """Asked every half minute: a server that runs weighs as much as another one."""
        if self.ready:
            limits.weigh(GROUP, self.user.name)
        return await super().poll()

    async def stop(self, now=False):
        """What the server left running ends with it."""
        await super().stop(now)
        limits.end(GROUP, self.user.name)

    def make_preexec_fn(self, name):
        """The new process comes under the limits while it is still root's."""
        become_student = super().make_preexec_fn(name)

        def preexec():
            for listed in limits.processes(GROUP, name):
                listed.write_text("0")
            os.umask(0o077)
            become_student()

        return preexec
