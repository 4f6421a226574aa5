"""Every check and build of the project, each in an environment of its own: `nox -l` lists them.

Needs nothing but nox and pip; uses uv where it is found.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import nox
from packaging.version import Version

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_external_run = True
# A machine with one Python runs the tests on that one and says which were skipped, even where CI is set
# (nox would make it an error there). No Python is downloaded unasked.
nox.options.error_on_missing_interpreters = False
nox.options.download_python = "never"
nox.options.sessions = ["tests", "lint", "types", "architecture"]

ROOT = Path(__file__).parent
PACKAGE = "pagerduty_alerting"
PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT)


def install(session: nox.Session, *groups: str) -> None:
    """Installs the package with its command line, editable, and the named dependency groups.

    Editable, because the package lies at the top of the checkout. Whatever starts Python there (pytest,
    xdist's workers, a test's `python -m`) finds the checkout first, installed copy or not: a copy would be
    tested by some processes and not by others, with coverage split between the two, and has no generator to
    test. What an installed copy holds, and that it works, is what `build` shows, with the wheel itself.
    """
    session.install("-e", ".[cli]", *nox.project.dependency_groups(PYPROJECT, *groups))


def coverage_data(session: nox.Session) -> Path:
    """Where the Pythons of the matrix leave what they measured, for `coverage` to combine."""
    directory = Path(session.cache_dir) / "coverage"
    directory.mkdir(parents=True, exist_ok=True)
    return directory.resolve()


@nox.session(python=PYTHONS, tags=["ci"])
def tests(session: nox.Session) -> None:
    """The test suite with coverage; or what follows `--`, given to pytest, without."""
    install(session, "tests")
    if session.posargs:
        session.run("pytest", *session.posargs)
        return

    measured = {"COVERAGE_FILE": str(coverage_data(session) / f".coverage.{session.python}")}
    session.run("coverage", "erase", env=measured)
    session.run("coverage", "run", "-m", "pytest", "--numprocesses=auto", "--dist=worksteal", env=measured)
    session.notify("coverage")


@nox.session
def coverage(session: nox.Session) -> None:
    """Combines what `tests` measured and fails under the threshold of pyproject.toml."""
    directory = coverage_data(session)
    if not any(directory.glob(".coverage.*")):
        session.error("no coverage was measured: run `nox -s tests`")
    session.install("coverage[toml]>=7.10")
    combined = {"COVERAGE_FILE": str(directory / ".coverage")}
    session.run("coverage", "combine", "--quiet", str(directory), env=combined)
    session.run("coverage", "report", env=combined)


@nox.session(tags=["ci"])
def lint(session: nox.Session) -> None:
    """Ruff: rules and formatting. `nox -s lint -- --fix` repairs what it can."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"))
    if "--fix" in session.posargs:
        session.run("ruff", "check", "--fix", ".")
        session.run("ruff", "format", ".")
        return
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(tags=["ci"])
def types(session: nox.Session) -> None:
    """The package and tests/typing under mypy and pyright, both strict."""
    install(session, "typing")
    session.run("mypy")
    session.run("pyright")


@nox.session(tags=["ci"])
def architecture(session: nox.Session) -> None:
    """Imports point one way: the contracts of [tool.importlinter]."""
    install(session, "lint")
    session.run("lint-imports")


@nox.session
def generate(session: nox.Session) -> None:
    """Writes sync.py from client.py; with `-- --check`, fails if it is not what would be written."""
    install(session, "lint")
    session.run("python", "-m", "pagerduty_alerting._generate", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """The whole job against the emulator, over TCP, as `pagerduty-alerting demo` shows it."""
    session.install(".[cli]")
    session.run("pagerduty-alerting", "demo", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Builds sdist and wheel, checks what is in them, and uses the wheel in empty environments.

    They are left in dist/, or in the directory named after `--`.
    """
    session.install("build", "twine")
    dist = Path(session.posargs[0] if session.posargs else "dist").resolve()
    shutil.rmtree(dist, ignore_errors=True)
    # The wheel is built from the unpacked sdist, so the sdist is known to be complete.
    session.run("python", "-m", "build", "--outdir", str(dist), silent=True)
    (wheel,) = dist.glob("*.whl")
    (sdist,) = dist.glob("*.tar.gz")
    session.run("twine", "check", "--strict", str(wheel), str(sdist))
    check_contents(session, wheel, sdist)

    # Away from the checkout, so that what is imported is what was installed.
    empty = Path(session.create_tmp()).resolve()
    session.chdir(empty)

    programs = empty_environment(session, "library", str(wheel))
    show = "import pagerduty_alerting as p; print(p.__name__, p.__version__, 'from', p.__path__[0])"
    session.run(str(programs / "python"), "-W", "error", "-c", show, external=True)

    programs = empty_environment(session, "command-line", f"{wheel}[cli]")
    session.run(str(programs / "pagerduty-alerting"), "demo", external=True)

    # The tests of the metadata, with pytest alone beside the wheel, and none of the checkout's settings.
    programs = empty_environment(session, "metadata", f"{wheel}[cli]", "pytest")
    options = ["--import-mode=importlib", "--noconftest", f"--rootdir={empty}", f"--config-file={os.devnull}"]
    options += ["--quiet", "-W", "error", "-p", "no:cacheprovider"]
    metadata_tests = str(ROOT / "tests" / "packaging")
    session.run(str(programs / "python"), "-P", "-m", "pytest", *options, metadata_tests, external=True)


def empty_environment(session: nox.Session, name: str, *requirements: str) -> Path:
    """Makes a virtual environment with these requirements alone; returns its directory of programs."""
    session.run("python", "-m", "venv", "--clear", name)
    programs = Path(name, "Scripts" if os.name == "nt" else "bin").resolve()
    python = str(programs / "python")
    session.run(python, "-m", "pip", "install", "--quiet", *requirements, external=True, silent=True)
    return programs


def check_contents(session: nox.Session, wheel: Path, sdist: Path) -> None:
    """Fails unless the wheel is the package without its generator, and the sdist all that one works with."""
    package = {
        path.as_posix()
        for path in Path(PACKAGE).rglob("*")
        if path.is_file() and not {"__pycache__", ".mypy_cache"} & set(path.parts)
    }
    to_install = package - {"pagerduty_alerting/_generate.py"}

    with zipfile.ZipFile(wheel) as archive:
        in_wheel = {name for name in archive.namelist() if ".dist-info/" not in name}
        about = {name.partition(".dist-info/")[2] for name in archive.namelist()} - {""}
    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}

    tops = {name.partition("/")[0] for name in in_sdist}
    to_build = {"CHANGELOG.md", "LICENSE", "README.md", "examples", "noxfile.py", "pyproject.toml", "tests"}
    problems = [f"the wheel lacks {name}" for name in sorted(to_install - in_wheel)]
    problems += [f"the wheel must not hold {name}" for name in sorted(in_wheel - to_install)]
    problems += [
        f"the wheel's metadata lack {name}"
        for name in sorted({"METADATA", "entry_points.txt", "licenses/LICENSE"} - about)
    ]
    problems += [f"the sdist lacks {name}" for name in sorted((package - in_sdist) | (to_build - tops))]
    if "pagerduty_alerting/py.typed" not in in_wheel:
        problems.append("the wheel is not typed: it lacks py.typed")
    if problems:
        session.error("\n".join(problems))
    for archive_path, names in ((wheel, in_wheel), (sdist, in_sdist)):
        session.log(f"{archive_path.name}: {len(names)} files, {archive_path.stat().st_size / 1024:.0f} KiB")


@nox.session
def emulator_cloudflare(session: nox.Session) -> None:
    """Cloudflare's own Python SDK, and curl, against the emulator."""
    install(session, "tests")
    session.install("cloudflare")
    session.run("pytest", "tests/emulator/interop_cloudflare.py", "tests/emulator/interop_curl.py")


@nox.session
def emulator_node(session: nox.Session) -> None:
    """Cloudflare's own Node SDK against the emulator."""
    if shutil.which("npm") is None:
        session.skip("there is no npm on this machine")
    install(session, "tests")
    packages = Path(session.create_tmp()).resolve()
    session.run("npm", "install", "--silent", "--prefix", str(packages), "cloudflare", external=True)
    session.run("pytest", "tests/emulator/interop_node.py", env={"EMULATOR_NODE_PACKAGES": str(packages)})


@nox.session
def emulator_browser(session: nox.Session) -> None:
    """The emulator's page in headless Chromium."""
    if shutil.which("chromedriver") is None:
        session.skip("there is no Chromium driver on this machine (Debian: chromium-driver)")
    install(session, "tests")
    session.install("selenium")
    session.run("pytest", "tests/emulator/interop_browser.py")


@nox.session(python=PYTHONS)
def lowest(session: nox.Session) -> None:
    """The test suite on the lowest versions that the dependencies in pyproject.toml admit."""
    session.install("uv")
    lowest_direct = ["--resolution=lowest-direct", "--only-binary=:all:", "--no-binary=pagerduty-alerting"]
    session.run("uv", "pip", "install", *lowest_direct, "-e", ".[cli]")
    session.install(*nox.project.dependency_groups(PYPROJECT, "tests"))
    check_lower_bounds(session)
    session.run("pytest", "--numprocesses=auto", "--dist=worksteal", *session.posargs)


def check_lower_bounds(session: nox.Session) -> None:
    """Fails if one of the test tools has raised a dependency above its lower bound."""
    project = PYPROJECT["project"]
    for requirement in [*project["dependencies"], *project["optional-dependencies"]["cli"]]:
        name, bound = requirement.split(">=")
        program = f"import importlib.metadata; print(importlib.metadata.version({name!r}))"
        found = str(session.run("python", "-c", program, silent=True, log=False)).strip()
        session.log(f"{name} {found}")
        if Version(found) != Version(bound):
            session.error(f"{name} {found} is installed, and the lower bound is {bound}")


@nox.session
def bench(session: nox.Session) -> None:
    """The measurements that the README quotes, side by side with other clients."""
    session.install(".", *nox.project.dependency_groups(PYPROJECT, "bench"))
    session.run("python", "tests/bench/run.py", *session.posargs)
    session.run("python", "tests/emulator/bench_emulator.py", "--check")


@nox.session
def docs(session: nox.Session) -> None:
    """The API reference, from the docstrings, into docs/_build or the directory named after `--`."""
    install(session, "docs")
    session.run("interrogate", "--fail-under=100", "--quiet", PACKAGE)
    directory = session.posargs[0] if session.posargs else "docs/_build"
    session.run("python", "-W", "error", "-m", "pdoc", "--docformat=google", "-o", directory, PACKAGE)
