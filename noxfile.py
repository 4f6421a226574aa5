"""Every check and build of the project, each in an environment of its own: `nox -l` lists them.

Needs nothing but nox and pip; uses uv where it is found.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
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
FULL_SIZE = {"PAGERDUTY_ALERTING_FULL_SIZE": "1"}
# Tests that are smaller every day: see tests/support/size.py.
HAVE_A_FULL_SIZE = [
    "tests/fleet/test_fleet_quota.py",
    "tests/network/test_hostile_answers.py",
    "tests/network/test_secrets.py",
    "tests/network/test_stale_answers.py",
    "tests/runner",
]
MUTATION_SCORE = 0.95  # the rest are changes that make no difference, such as to texts that are compared in parts
NODE_SDK = "https://github.com/cloudflare/cloudflare-typescript"
# The reference has no boxes for attributes that the docstring of their class describes, nor for constructors of what
# users get from methods.
REFERENCE = """{% extends "default/module.html.jinja2" %}
{% macro is_public(doc) %}
    {% set parent = module.get((doc.qualname or "").rpartition(".")[0]) %}
    {% if doc.name.startswith("_") and doc.name not in ["__init__", "__version__"] %}
    {% elif doc.kind == "variable" and not doc.docstring and parent and "Attributes:" in parent.docstring %}
    {% elif doc.name == "__init__" and parent.name in
        ["AsyncClientWithResponse", "ClientWithResponse", "FaultBuilder", "Gate", "Order", "RequestLog"] %}
    {% elif doc.kind == "module" and doc.fullname not in all_modules %}
    {% elif doc.name != "__init__" or doc.docstring or doc.signature_without_self.parameters %}true{% endif %}
{% endmacro %}
"""
PYTHONS = nox.project.python_versions(PYPROJECT)
# More workers than cores: a third of the time the tests wait, for processes and threads of their own.
IN_PARALLEL = [f"--numprocesses={max(4, os.cpu_count() or 1)}", "--dist=worksteal"]


# The suite.


@nox.session(python=PYTHONS, tags=["ci"])
def tests(session: nox.Session) -> None:
    """The test suite, with coverage on the Python that runs nox; or what follows `--`, given to pytest, without."""
    install(session, "tests")
    # The tests start some hundreds of processes, each of which would compile the package for itself.
    session.env["PYTHONDONTWRITEBYTECODE"] = ""
    if session.posargs:
        session.run("pytest", *session.posargs)
        return

    if session.python != f"{sys.version_info.major}.{sys.version_info.minor}":
        # The code has no branches for versions of Python, and to measure takes as long again as to test.
        session.run("pytest", *IN_PARALLEL)
        return
    measured = {"COVERAGE_FILE": str(coverage_data(session) / f".coverage.{session.python}")}
    session.run("coverage", "erase", env=measured)
    session.run("coverage", "run", "-m", "pytest", *IN_PARALLEL, env=measured)
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


@nox.session
def shuffled(session: nox.Session) -> None:
    """The suite in random order, 20 times or as often as the number after `--` says, on a machine that it overloads."""
    install(session, "tests")
    overloaded = [f"--numprocesses={4 * (os.cpu_count() or 1)}", "--dist=worksteal"]
    for _ in range(int(session.posargs[0]) if session.posargs else 20):
        session.run("pytest", "--quiet", *overloaded, f"--shuffle={random.randrange(2**32)}")


@nox.session(python=PYTHONS)
def lowest(session: nox.Session) -> None:
    """The test suite on the lowest versions that the dependencies in pyproject.toml admit."""
    session.install("uv")
    lowest_direct = ["--resolution=lowest-direct", "--only-binary=:all:", "--no-binary=pagerduty-alerting"]
    session.run("uv", "pip", "install", *lowest_direct, "-e", ".[cli]")
    session.install(*nox.project.dependency_groups(PYPROJECT, "tests"))
    check_lower_bounds(session)
    session.run("pytest", *IN_PARALLEL, *session.posargs)


# Checks of the source.


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
def docs(session: nox.Session) -> None:
    """The reference of the public names, from their docstrings, into docs/_build or the directory named after `--`."""
    install(session, "docs")
    session.run("interrogate", PACKAGE)
    directory = session.posargs[0] if session.posargs else "docs/_build"
    template = Path(session.create_tmp()) / "module.html.jinja2"
    template.write_text(REFERENCE, encoding="utf-8")
    options = ["--docformat=google", "--no-show-source", f"--template-directory={template.parent}", "-o", directory]
    modules = [PACKAGE, f"{PACKAGE}.emulator", f"{PACKAGE}.emulator.pytest_plugin"]
    session.run("python", "-W", "error", "-m", "pdoc", *options, *modules)


@nox.session
def api(session: nox.Session) -> None:
    """The public API against that of the last release, or of the revision named after `--`: no unannounced break.

    Breaks are announced by a line with "**Breaking" that the changelog of that revision does not have.
    """
    tags = str(session.run("git", "tag", "--sort=-version:refname", external=True, silent=True)).split()
    if not session.posargs and not tags:
        session.log("there is no tag of a release yet: name a revision after `--`")
        return
    session.install(*nox.project.dependency_groups(PYPROJECT, "api"))
    against = session.posargs[0] if session.posargs else tags[0]
    then = str(session.run("git", "show", f"{against}:CHANGELOG.md", external=True, silent=True, log=False))
    added = set((ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()) - set(then.splitlines())
    # It exits with 1 if there are breaks.
    codes = [0, 1] if any("**Breaking" in line for line in added) else [0]
    session.run("python", "tests/packaging/breaking_changes.py", against, success_codes=codes)


@nox.session
def audit(session: nox.Session) -> None:
    """No dependency with a known vulnerability (pip-audit), none missing or unused (deptry)."""
    install(session, "audit")
    # Not ".": outside a git checkout that includes the environments in .nox.
    session.run("deptry", PACKAGE)
    # What an installation brings, and not the tools beside it.
    requirements = Path(session.create_tmp()) / "requirements.txt"
    project = PYPROJECT["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["cli"]]
    requirements.write_text("\n".join(wanted) + "\n", encoding="utf-8")
    found = requirements.with_name("found.json")
    found.unlink(missing_ok=True)
    report = ["--format=json", f"--output={found}", "--progress-spinner=off"]
    command = ["pip-audit", "--requirement", str(requirements), *report, *session.posargs]
    # It ends with 1 for a vulnerability as well as for an error, in which case it leaves no report.
    printed = str(session.run(*command, success_codes=[0, 1], silent=True))
    if not found.exists():
        if "requests.exceptions." not in printed and "Could not connect" not in printed:
            session.error(printed)
        session.warn("no database of advisories can be reached: the dependencies were not looked up")
        return
    dependencies = json.loads(found.read_text(encoding="utf-8"))["dependencies"]
    vulnerable = [f"{it['name']} {it['version']}: {it['vulns']}" for it in dependencies if it.get("vulns")]
    if vulnerable:
        session.error("\n".join(vulnerable))
    session.log(f"{len(dependencies)} dependencies without a known vulnerability")


# With other people's programs and libraries.


@nox.session
def examples(session: nox.Session) -> None:
    """The programs in examples/ and the observability tests, with all that they need, in their full size.

    In `nox -s tests` those are skipped that need other packages.
    """
    install(session, "tests", "examples")
    everything = ["--no-skips", "tests/docs", "tests/observability"]
    session.run("pytest", *IN_PARALLEL, *(session.posargs or everything), env=FULL_SIZE)


@nox.session
def fleet(session: nox.Session) -> None:
    """Fleets with other people's engines: Dask on a LocalCluster, a quota shared through Redis; elsewhere skipped."""
    if shutil.which("redis-server") is None:
        session.warn("there is no redis-server on this machine (Debian: redis-server): its tests will be skipped")
    install(session, "tests", "fleet")
    session.run("pytest", *(session.posargs or ["tests/fleet"]))


@nox.session
def hosts(session: nox.Session) -> None:
    """The synchronous client in the servers, task queues, greenlets and other programs that legacy code lives in."""
    for program, package in {"redis-server": "redis-server", "Xvfb": "xvfb"}.items():
        if shutil.which(program) is None:
            session.warn(f"there is no {program} on this machine (Debian: {package}): its hosts will be skipped")
    install(session, "tests", "hosts")
    # It is compiled, which takes a C compiler and Python's headers.
    session.install(*nox.project.dependency_groups(PYPROJECT, "uwsgi"), success_codes=range(256))
    if not any(Path(session.bin).glob("uwsgi*")):
        session.warn("uWSGI cannot be compiled on this machine: it will be skipped")
    session.env["PYTHONDONTWRITEBYTECODE"] = ""  # every host would compile all that it imports
    session.run("pytest", *IN_PARALLEL, *(session.posargs or ["tests/hosts", "tests/runner/test_greenlets.py"]))


@nox.session
def emulator_cloudflare(session: nox.Session) -> None:
    """Cloudflare's own Python SDK with its own tests of this resource, and curl, against the emulator."""
    install(session, "tests")
    session.install("cloudflare[aiohttp]", "pip", "respx", "rich")
    version = "import importlib.metadata as m; print('cloudflare==' + m.version('cloudflare'))"
    requirement = str(session.run("python", "-c", version, silent=True)).strip()
    # Its tests are in its source distribution.
    unpacked = Path(session.create_tmp()).resolve() / "source"
    shutil.rmtree(unpacked, ignore_errors=True)
    download = ["pip", "download", "--quiet", "--no-deps", "--no-binary=cloudflare", f"--dest={unpacked}", requirement]
    session.run("python", "-m", *download)
    (archive,) = unpacked.glob("cloudflare-*.tar.gz")
    shutil.unpack_archive(archive, unpacked, filter="data")
    source = {"EMULATOR_CLOUDFLARE_SOURCE": str(unpacked / archive.name.removesuffix(".tar.gz"))}
    session.run("pytest", "tests/interop/interop_cloudflare.py", "tests/interop/interop_curl.py", env=source)


@nox.session
def emulator_node(session: nox.Session) -> None:
    """Cloudflare's own Node SDK, with its own tests of this resource, against the emulator.

    The tests are not in its package: they come from its repository, or from a checkout of it that is named after `--`.
    """
    if shutil.which("npm") is None:
        session.skip("there is no npm on this machine")
    install(session, "tests")
    packages = Path(session.create_tmp()).resolve()
    npm = ["npm", "install", "--silent", "--prefix", str(packages)]
    session.run(*npm, "cloudflare", "jest@29", "@swc/jest", "@swc/core", external=True)
    manifest = packages / "node_modules" / "cloudflare" / "package.json"
    checkout = Path(session.posargs[0]).resolve() if session.posargs else packages / "checkout"
    if not session.posargs:
        shutil.rmtree(checkout, ignore_errors=True)
        tag = f"v{json.loads(manifest.read_text(encoding='utf-8'))['version']}"
        clone = ["git", "clone", "--quiet", "--depth=1", "--branch", tag, NODE_SDK, str(checkout)]
        session.run(*clone, external=True, success_codes=[0, 128], env={"GIT_TERMINAL_PROMPT": "0"})
    given = {"EMULATOR_NODE_PACKAGES": str(packages)}
    if checkout.is_dir():
        given["EMULATOR_NODE_TESTS"] = str(checkout)
    else:
        session.warn(f"{NODE_SDK} cannot be reached: its own tests will be skipped")
    session.run("pytest", "tests/interop/interop_node.py", env=given)


@nox.session
def emulator_browser(session: nox.Session) -> None:
    """The emulator's page in headless Chromium."""
    if shutil.which("chromedriver") is None:
        session.skip("there is no Chromium driver on this machine (Debian: chromium-driver)")
    install(session, "tests")
    session.install("selenium")
    session.run("pytest", "tests/interop/interop_browser.py")


# What takes longer.


@nox.session
def mutation(session: nox.Session) -> None:
    """Changes the package in some thousand ways, each of which a quick test is to notice; takes an hour or two.

    After `--`: modules such as `_pacer.py` or `_http/*.py`, `--sample=100` for a part of each module's changes.
    """
    install(session, "tests", "mutation")
    session.run("python", "tests/mutation/mutation.py", f"--score={MUTATION_SCORE}", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """10,000 made-up answers: our exceptions or right results, nothing else. A seed after `--` repeats a run."""
    install(session, "tests")
    seed = session.posargs[0] if session.posargs else str(random.randrange(2**32))
    session.log(f"seed {seed}")
    options = [f"--hypothesis-seed={seed}", "--timeout=1200"]
    session.run("pytest", "tests/network/test_fuzz.py", *options, env={"PAGERDUTY_ALERTING_FUZZ": "2500"})


@nox.session
def soak(session: nox.Session) -> None:
    """200,000 calls with faults, async and from threads, and the tests that have an everyday size in their full one.

    No answer is lost, nothing is left behind, memory does not grow. What follows `--` is given to the calls, alone.
    """
    install(session, "tests")
    session.run("python", "tests/soak/soak.py", *session.posargs)
    if not session.posargs:
        session.run("pytest", "--timeout=1200", *IN_PARALLEL, *HAVE_A_FULL_SIZE, env=FULL_SIZE)


@nox.session
def bench(session: nox.Session) -> None:
    """The measurements that the README quotes, side by side with other clients; takes about six minutes.

    `-- --write` writes the README's table, `-- --check` fails if a bound is missed, `-- --quick` is a try.
    """
    session.install(".[cli]", *nox.project.dependency_groups(PYPROJECT, "bench"))
    # Each is measured if it can be installed. niquests would put its fork in the place of urllib3, and under requests.
    apart = {"URLLIB3_NO_OVERRIDE": "1"}
    for contender in ("uvloop", "pycurl", "urllib3", "aiosonic", "primp", "pyreqwest", "niquests"):
        alone = ["--no-binary", "urllib3-future"] if contender == "niquests" else []
        try:
            session.install(contender, *alone, env=apart)
        except nox.command.CommandFailed:
            session.warn(f"{contender} cannot be installed, and is not measured")
    check = [option for option in session.posargs if option == "--check"]
    programs = [["run.py", *session.posargs], ["fleet_bench.py", *check], ["emulator_bench.py", *check]]
    missed = []
    for program, *options in programs[:1] if "--quick" in session.posargs else programs:
        try:
            session.run("python", f"tests/bench/{program}", *options)
        except nox.command.CommandFailed:  # the others are measured all the same
            missed.append(program)
    if missed:
        session.error(f"failed, or missed a bound: {', '.join(missed)}")


# What is published.


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
    # All files bear the time of the last commit, so that the same source makes the same archives.
    session.env.setdefault("SOURCE_DATE_EPOCH", source_date())
    # The wheel is built from the unpacked sdist, so the sdist is known to be complete.
    session.run("python", "-m", "build", "--outdir", str(dist), silent=True)
    (wheel,) = dist.glob("*.whl")
    (sdist,) = dist.glob("*.tar.gz")
    session.run("twine", "check", "--strict", str(wheel), str(sdist))
    check_contents(session, wheel, sdist)
    check_reproducible(session, wheel, sdist)

    # Away from the checkout, so that what is imported is what was installed.
    empty = Path(session.create_tmp()).resolve()
    session.chdir(empty)

    programs = empty_environment(session, "library", str(wheel))
    show = "import pagerduty_alerting as p; print(p.__name__, p.__version__, 'from', p.__path__[0])"
    session.run(str(programs / "python"), "-W", "error", "-c", show, external=True)
    report_installed_size(session, programs / "python", wheel)

    programs = empty_environment(session, "command-line", f"{wheel}[cli]")
    session.run(str(programs / "pagerduty-alerting"), "demo", external=True)

    # The tests of the metadata, with pytest alone beside the wheel, and none of the checkout's settings.
    programs = empty_environment(session, "metadata", f"{wheel}[cli]", "pytest")
    options = ["--import-mode=importlib", "--noconftest", f"--rootdir={empty}", f"--config-file={os.devnull}"]
    options += ["--quiet", "-W", "error", "-p", "no:cacheprovider"]
    metadata_tests = str(ROOT / "tests" / "packaging")
    session.run(str(programs / "python"), "-P", "-m", "pytest", *options, metadata_tests, external=True)


# Helpers of the sessions.


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


def source_date() -> str:
    """Returns when the last commit was made, in seconds since 1970; in a copy without history, a day long ago."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return os.environ["SOURCE_DATE_EPOCH"]
    git = shutil.which("git")
    command = [git or "git", "log", "-1", "--format=%ct"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False) if git else None
    return (done.stdout.strip() if done else "") or "1577836800"


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


def check_reproducible(session: nox.Session, *archives: Path) -> None:
    """Builds once more, at another time of the same source, and fails unless the archives are the same to the byte."""
    again = Path(session.create_tmp()).resolve() / "again"
    shutil.rmtree(again, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(again), silent=True)
    for archive in archives:
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (archive, again / archive.name)]
        if digests[0] != digests[1]:
            session.error(f"{archive.name} is not built the same twice: {' and '.join(digests)}")
        session.log(f"{archive.name} is reproducible, sha256 {digests[0]}")


def report_installed_size(session: nox.Session, python: Path, wheel: Path) -> None:
    """Says how much is unpacked: the package itself, and with all that it depends on."""
    program = (
        "from importlib.metadata import distributions as all; print(sum("
        "file.locate().stat().st_size for it in all() if it.name not in {'pip', 'setuptools'}"
        " for file in it.files if file.suffix != '.pyc'))"
    )
    everything = session.run(str(python), "-c", program, external=True, silent=True, log=False)
    with zipfile.ZipFile(wheel) as archive:
        own = sum(info.file_size for info in archive.infolist())
    session.log(f"installed: {own / 2**20:.1f} MiB, with its dependencies {int(str(everything)) / 2**20:.1f} MiB")


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
