"""The metadata of the installed distribution, for an editable install and for the built wheel."""

import re
import subprocess
import sys
import sysconfig
from importlib import metadata, resources
from pathlib import Path

import pytest

import pagerduty_alerting

DISTRIBUTION = "pagerduty-alerting"


def requirements(*, extra: str | None) -> set[str]:
    """Returns the names that the distribution requires, by itself or for an extra."""
    found = set()
    for line in metadata.requires(DISTRIBUTION) or []:
        requirement, _, marker = line.partition(";")
        of = marker.partition("extra ==")[2].strip(" '\"") or None
        if of == extra:
            found.add(re.split("[<>]", requirement)[0].strip())
    return found


def output_of(*command: str | Path) -> str:
    """Returns the output of a command, which must exit with status 0."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_metadata_have_the_version_of_the_package() -> None:
    assert metadata.version(DISTRIBUTION) == pagerduty_alerting.__version__


def test_python_3_11_or_newer_is_required() -> None:
    assert metadata.metadata(DISTRIBUTION)["Requires-Python"] == ">=3.11"


def test_four_packages_are_required_and_no_more() -> None:
    assert requirements(extra=None) == {"aiohttp", "attrs", "cattrs", "orjson"}


def test_the_command_line_is_an_extra() -> None:
    assert metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") == ["cli"]
    assert requirements(extra="cli") == {"rich", "typer"}


def test_each_requirement_has_a_lower_bound_and_only_aiohttp_an_upper_one() -> None:
    for line in metadata.requires(DISTRIBUTION) or []:
        requirement = line.partition(";")[0]
        assert ">=" in requirement
        # The client uses private names of aiohttp, which a major version may change.
        assert ("<" in requirement) == requirement.startswith("aiohttp")
        assert "==" not in requirement


def test_the_licence_is_mit_and_its_text_is_installed() -> None:
    about = metadata.metadata(DISTRIBUTION)
    assert about["License-Expression"] == "MIT"
    assert about.get_all("License-File") == ["LICENSE"]
    text = metadata.distribution(DISTRIBUTION).read_text("licenses/LICENSE")
    assert text is not None
    assert text.startswith("MIT License")


def test_the_readme_is_the_long_description() -> None:
    about = metadata.metadata(DISTRIBUTION)
    assert about["Description-Content-Type"] == "text/markdown"
    assert about["Description"].strip().startswith("# ")


def test_type_checkers_find_the_marker() -> None:
    assert resources.files(pagerduty_alerting).joinpath("py.typed").is_file()


def test_every_supported_python_has_its_classifier() -> None:
    classifiers = metadata.metadata(DISTRIBUTION).get_all("Classifier") or []
    minors = [
        int(classifier.rpartition(".")[2])
        for classifier in classifiers
        if classifier.startswith("Programming Language :: Python :: 3.")
    ]
    assert minors == list(range(11, max(minors) + 1))
    assert sys.version_info.minor in minors


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        ("console_scripts", "pagerduty-alerting", "pagerduty_alerting.cli:main"),
        ("pytest11", "pagerduty_alerting", "pagerduty_alerting.emulator.pytest_plugin"),
    ],
)
def test_each_entry_point_resolves(group: str, name: str, value: str) -> None:
    (point,) = metadata.distribution(DISTRIBUTION).entry_points.select(group=group)
    assert (point.name, point.value) == (name, value)
    assert point.load() is not None


def test_the_console_script_is_installed_and_works() -> None:
    scripts = Path(sysconfig.get_path("scripts"))
    (script,) = scripts.glob("pagerduty-alerting*")
    assert "demo" in output_of(script, "--help")


def test_the_pytest_plugin_is_loaded_where_the_package_is_installed(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.pluginmanager.has_plugin("pagerduty_alerting")


def test_importing_the_package_loads_neither_the_command_line_nor_the_emulator() -> None:
    program = (
        "import sys, pagerduty_alerting\n"
        "unwanted = {'typer', 'rich', 'pytest', 'pagerduty_alerting.cli', 'pagerduty_alerting.emulator'}\n"
        "print(*sorted(unwanted & set(sys.modules)))"
    )
    assert output_of(sys.executable, "-W", "error", "-c", program).split() == []
