"""Create the three environments: `.venv`, `.cloud-venv` and `node_modules`.

Needs Python 3.13 and nothing else. pip installs uv from its hash-locked requirement, uv installs
the rest from theirs, and npm comes from a wheel in `.venv`. Each environment carries a stamp: where
it was made, and the SHA-256 of what from. So a second run is instant, a changed lock installs what
changed, and an environment that was moved or left half-made is made anew.

Run it as `make env`.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time

if sys.version_info[:2] != (3, 13):
    sys.exit(
        "error: Python 3.13 is needed, the functions' run time; this is Python {}.{}.\n"
        "Put python3.13 on the PATH, or name it: make env PYTHON=/path/to/python3.13".format(
            *sys.version_info
        )
    )

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
CLOUD_VENV = ROOT / ".cloud-venv"
NODE_MODULES = ROOT / "node_modules"
REQUIREMENTS = ROOT / "requirements"
LOG = ROOT / ".build" / "env.log"

# The environments take 1.5 GB, the layers and the emulator's copies of them another one.
DISK_NEEDED_GB = 3

# What a stamp says until everything is installed.
UNFINISHED = "unfinished"


class BootstrapError(Exception):
    """The environments can't be made; the message says why in a line or two."""


def run(step: str, *command: str | Path, environment: dict[str, str] | None = None) -> None:
    """Run a command silently, keep its output in the log, and raise BootstrapError if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    with LOG.open("a", encoding="utf-8") as log:
        log.write(f"== {step}\n{done.stdout}\n")
    if done.returncode:
        raise BootstrapError(
            f"{step} failed: {reason(done.stdout)}\nEverything it said: {LOG.relative_to(ROOT)}"
        )


def reason(output: str) -> str:
    """Return what a failed command's output blames, on one line: pip, uv and npm say `error`."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error", "npm error"))]
    # npm opens with a code and explains it in the next line.
    errors = [line for line in errors if not line.startswith("npm error code")]
    causes = [line for line in lines if line.startswith("cause: ")]
    blamed = [*errors[:1], *causes[:1]] or lines[-1:] or ["it said nothing"]
    return ": ".join(line.removeprefix("error: ").removeprefix("cause: ") for line in blamed)[:300]


def fingerprint(*files: Path) -> str:
    """Return the SHA-256 of the files and the interpreter's version."""
    digest = hashlib.sha256(sys.version.encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def write_stamp(folder: Path, state: str) -> None:
    """Note in an environment where it was made, and from what it is complete."""
    (folder / ".stamp").write_text(f"{ROOT}\n{state}\n", encoding="utf-8")


def read_stamp(folder: Path) -> list[str]:
    """Return the place and the state that an environment's stamp notes; empty without one."""
    try:
        return (folder / ".stamp").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def is_current(folder: Path, state: str) -> bool:
    """Tell whether the folder was completed, right here, from the very same inputs."""
    return read_stamp(folder) == [str(ROOT), state]


def is_usable(venv: Path) -> bool:
    """Tell whether a virtual environment can be kept and brought up to date.

    Its scripts hold its place: one that was moved along with its clone has to be made anew.
    """
    return read_stamp(venv)[:1] == [str(ROOT)] and works(venv / "bin" / "python")


def works(python: Path) -> bool:
    """Tell whether an interpreter exists, starts, and is the version that runs this script."""
    try:
        version = subprocess.run(
            [str(python), "-c", "import sys; print(sys.version)"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    return version.stdout.strip() == sys.version


def base_interpreter() -> Path:
    """Return the interpreter outside any virtual environment: `.venv` may be the active one."""
    if sys.prefix == sys.base_prefix:
        return Path(sys.executable)
    return Path(sys.base_prefix) / "bin" / "python3.13"


def install_uv() -> None:
    """Create `.venv` with uv in it."""
    run("create .venv", base_interpreter(), "-m", "venv", "--clear", VENV)
    run(
        "install uv",
        *(VENV / "bin" / "python", "-m", "pip", "install", "--quiet", "--require-hashes"),
        *("--disable-pip-version-check", "--requirement", REQUIREMENTS / "bootstrap.txt"),
    )
    write_stamp(VENV, UNFINISHED)


def sync(python: Path, lock: Path) -> None:
    """Make an environment hold exactly what a lock names, each file checked by its hash."""
    run(
        f"install {lock.name}",
        *(VENV / "bin" / "uv", "pip", "sync", "--require-hashes", "--python", python, lock),
    )


def install_dev() -> None:
    """Install the developer's environment and this project, editable, into `.venv`."""
    python = VENV / "bin" / "python"
    sync(python, REQUIREMENTS / "dev.txt")
    run(
        "install this project",
        *(VENV / "bin" / "uv", "pip", "install", "--python", python),
        *("--no-deps", "--no-build-isolation", "--editable", ROOT),
    )


def install_cloud() -> None:
    """Install the emulator, alone, into `.cloud-venv`."""
    python = CLOUD_VENV / "bin" / "python"
    if not is_usable(CLOUD_VENV):
        uv = VENV / "bin" / "uv"
        run("create .cloud-venv", uv, "venv", "--clear", "--python", base_interpreter(), CLOUD_VENV)
    sync(python, REQUIREMENTS / "cloud.txt")


def install_node_modules() -> None:
    """Install the CDK command-line tool with the Node and npm that `.venv` holds."""
    path = f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    run("install the CDK CLI", VENV / "bin" / "npm", "ci", environment={"PATH": path})


def timed(name: str, install: Callable[[], None], folder: Path, state: str) -> None:
    """Bring one environment up to date, stamp it, and print how long that took."""
    if is_current(folder, state):
        return
    started = time.monotonic()
    if read_stamp(folder)[:1] == [str(ROOT)]:
        write_stamp(folder, UNFINISHED)
    install()
    write_stamp(folder, state)
    print(f"  {name:<42}{time.monotonic() - started:6.1f} s", flush=True)


def main() -> None:
    """Bring every environment up to date; print the steps that had something to do."""
    bootstrap, dev, cloud = (REQUIREMENTS / f"{name}.txt" for name in ("bootstrap", "dev", "cloud"))
    dev_state = fingerprint(bootstrap, dev, ROOT / "pyproject.toml")
    cloud_state = fingerprint(bootstrap, cloud)
    node_state = fingerprint(dev, ROOT / "package.json", ROOT / "package-lock.json")
    if (
        is_current(VENV, dev_state)
        and is_current(CLOUD_VENV, cloud_state)
        and is_current(NODE_MODULES, node_state)
    ):
        return

    for folder in (VENV, CLOUD_VENV, NODE_MODULES):
        # What it leads to would be emptied, and may be another checkout's.
        if folder.is_symlink():
            raise BootstrapError(f"{folder.name} is a link to another folder; remove the link")

    free_gb = shutil.disk_usage(ROOT).free / 1e9
    if free_gb < DISK_NEEDED_GB:
        raise BootstrapError(
            f"{free_gb:.1f} GB are free on this disk; the environments and layers "
            f"need {DISK_NEEDED_GB} GB"
        )

    started = time.monotonic()
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text("", encoding="utf-8")
    print("Environments, from the hash-locked requirements:", flush=True)
    if not (is_usable(VENV) and (VENV / "bin" / "uv").exists()):
        install_uv()
        print(f"  {'.venv with uv':<42}{time.monotonic() - started:6.1f} s", flush=True)
    with ThreadPoolExecutor() as pool:
        # The emulator waits for uv alone, npm for the wheel that brings it.
        cloud_done = pool.submit(
            timed, ".cloud-venv, the emulator", install_cloud, CLOUD_VENV, cloud_state
        )
        timed(".venv, tools and libraries", install_dev, VENV, dev_state)
        timed("node_modules, the CDK CLI", install_node_modules, NODE_MODULES, node_state)
        cloud_done.result()
    print(f"  {'in all':<42}{time.monotonic() - started:6.1f} s", flush=True)


if __name__ == "__main__":
    try:
        main()
    except BootstrapError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {error.strerror}: {error.filename}")
    except KeyboardInterrupt:
        sys.exit("interrupted; run it again to go on")
