"""What a container needs beside the application: to drop root, and to say whether it is healthy.

python -m seedvr_engine.container run COMMAND…    becomes COMMAND, as user 1000 where it was started by root
python -m seedvr_engine.container healthy         exit code 0 when the page answers

Standard library only: the health is asked for every half minute.
"""

import http.client
import os
import pwd
import sys
from pathlib import Path

USER = 1000
WORKSPACE = Path("/workspace")
FOLDERS = ("ckpts", "inputs", "outputs", "projects")
PATIENCE_S = 5.0


def run(command: list[str], workspace: Path = WORKSPACE, user: int = USER) -> None:
    """Becomes `command`. Started by root, it first makes the workspace the user's and stops being root.

    A pod's volume belongs to root and its host starts every container as root, so that an image with another
    user could keep nothing there. Only the folders themselves change hands: their files are the user's
    already, or were put there by somebody else, who decides about them.
    """
    if os.geteuid() == 0:
        for folder in (workspace, *(workspace / name for name in FOLDERS)):
            folder.mkdir(exist_ok=True)
            _take_over(folder, user)
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
        os.environ["HOME"] = _home(user)
    os.execvp(command[0], command)


def _take_over(folder: Path, user: int) -> None:
    try:
        os.chown(folder, user, user)
    except OSError as error:  # Mounted read-only, or a network volume that knows no owners.
        print(f"{folder} stays as it is: {error.strerror}.", file=sys.stderr)


def _home(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_dir
    except KeyError:
        return "/tmp"


def is_healthy(port: int) -> bool:
    """Whether the page on this machine answers that it is well."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main() -> None:
    """The command line."""
    match sys.argv[1:]:
        case ["run", *command] if command:
            run(command)
        case ["healthy"]:
            sys.exit(0 if is_healthy(int(os.environ.get("GRADIO_PORT") or 7860)) else 1)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
