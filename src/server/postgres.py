"""A PostgreSQL of one's own: in a folder, on a socket that nobody else may open, for as long as it is needed."""

import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from src.errors import UserError

log = logging.getLogger(__name__)

_USER = "earsight"
_DATABASE = "mlflow"
_DEBIAN = Path("/usr/lib/postgresql")
# PostgreSQL refuses to run as root; Debian's package brings this user.
_INSTEAD_OF_ROOT = "postgres"
_LONGEST_SOCKET = 90  # sun_path holds 108 bytes with the socket's own name


class Postgres:
    """Begun and stopped with the block; its data stays in the folder."""

    def __init__(self, folder: Path, binaries: Path | None) -> None:
        """Nothing is begun yet.

        Args:
            folder: of the data. binaries: folder of `initdb` and `pg_ctl`; None: where Debian or PATH has them.

        Raises:
            UserError: there are none.
        """
        self._folder = folder.resolve()
        self._data = self._folder / "data"
        self._binaries = found(binaries)
        self._socket: Path | None = None

    @property
    def uri(self) -> str:
        """Of the database, once it is begun."""
        return f"postgresql://{_USER}@/{_DATABASE}?host={self._socket}"

    def __enter__(self) -> "Postgres":
        self._folder.mkdir(parents=True, exist_ok=True)
        self._give(self._folder)
        self._socket = self._socket_folder()
        if not (self._data / "PG_VERSION").exists():
            # made whole or not at all: an interrupted initdb cannot be gone on with
            draft = self._folder / "draft"
            self._do("rm", "-rf", str(draft))
            self._do(
                "initdb", "-D", str(draft), f"--username={_USER}", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8"
            )
            draft.rename(self._data)
        self.start()
        listed = self._do("psql", *self._there(), "-d", "postgres", "-tAc", "select datname from pg_database")
        if _DATABASE not in listed.split():
            self._do("createdb", *self._there(), _DATABASE)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stop()
        if self._socket is not None and self._socket.parent != self._folder:
            shutil.rmtree(self._socket, ignore_errors=True)

    def start(self) -> None:
        """Begin it; one that was cut off recovers by itself."""
        options = f"-c listen_addresses='' -c unix_socket_directories='{self._socket}' -c max_connections=200"
        self._do("pg_ctl", "-D", str(self._data), "-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """End it; `mode` as pg_ctl has it (`immediate` is as good as pulling the plug)."""
        self._do("pg_ctl", "-D", str(self._data), "-w", "-m", mode, "stop")

    def _there(self) -> Sequence[str]:
        return "-h", str(self._socket), "-U", _USER

    def _socket_folder(self) -> Path:
        here = self._folder / "socket"
        if len(os.fsencode(here)) > _LONGEST_SOCKET:
            here = Path(tempfile.mkdtemp(prefix="earsight-"))
        here.mkdir(mode=0o700, exist_ok=True)
        self._give(here)
        return here

    def _give(self, folder: Path) -> None:
        """Let the user that PostgreSQL runs as own a folder."""
        if os.geteuid() != 0:
            return
        shutil.chown(folder, _INSTEAD_OF_ROOT)
        folder.chmod(0o700)
        seen = [*_instead_of_root(), "test", "-w", str(folder)]
        if subprocess.run(seen, check=False).returncode != 0:
            raise UserError(
                f"{folder}: PostgreSQL does not run as root, and its user {_INSTEAD_OF_ROOT!r} cannot reach this "
                "folder; choose another with paths.tracking=FOLDER, or run this as another user than root"
            )

    def _do(self, command: str, *words: str) -> str:
        """Run one of PostgreSQL's programs.

        Raises:
            UserError: it failed.
        """
        program = str(self._binaries / command) if (self._binaries / command).exists() else command
        user = _instead_of_root() if os.geteuid() == 0 else []
        # pg_ctl leaves its output open to the server that it starts: a pipe would never end
        with tempfile.TemporaryFile("w+") as said:
            done = subprocess.run([*user, program, *words], stdout=said, stderr=said, check=False, cwd="/")
            said.seek(0)
            text = said.read()
        if done.returncode != 0:
            raise UserError(f"PostgreSQL: {command} failed in {self._folder}: {text.strip()[-500:]}")
        return text


def _instead_of_root() -> list[str]:
    """Words that begin a command as the user that PostgreSQL runs as.

    Raises:
        UserError: the program that does so is not there.
    """
    # a root without a login shell often lacks /usr/sbin in PATH
    runuser = shutil.which("runuser", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if runuser is None:
        raise UserError("PostgreSQL does not run as root, and runuser (Debian: util-linux) is not there; run as a user")
    return [runuser, "-u", _INSTEAD_OF_ROOT, "--"]


def found(binaries: Path | None) -> Path:
    """The folder of PostgreSQL's programs.

    Raises:
        UserError: it is not there.
    """
    by_path = shutil.which("pg_ctl")
    tries = sorted(_DEBIAN.glob("*/bin"), reverse=True) + ([] if by_path is None else [Path(by_path).parent])
    tries = tries if binaries is None else [binaries]
    for folder in tries:
        if (folder / "pg_ctl").exists() and (folder / "initdb").exists():
            return folder
    raise UserError(
        f"PostgreSQL: no pg_ctl and initdb in {', '.join(map(str, tries)) or f'{_DEBIAN} or PATH'}; install it "
        "(Debian: apt-get install postgresql), or say where they are with postgres=FOLDER"
    )
