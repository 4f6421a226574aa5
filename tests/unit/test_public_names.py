"""The public names of the package are complete and loaded at their first use; its docstrings list every module."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pagerduty_alerting
import pagerduty_alerting.emulator


@pytest.mark.parametrize("name", pagerduty_alerting.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(pagerduty_alerting, name) is not None


@pytest.mark.parametrize("module_name", ["models", "errors", "client", "sync"])
def test_the_package_exports_every_public_name_of_its_modules(module_name: str) -> None:
    module = importlib.import_module(f"pagerduty_alerting.{module_name}")
    for name in module.__all__:
        assert getattr(pagerduty_alerting, name) is getattr(module, name)


def test_each_public_name_is_listed_once_and_shown_by_dir() -> None:
    assert len(pagerduty_alerting.__all__) == len(set(pagerduty_alerting.__all__))
    assert set(pagerduty_alerting.__all__) <= set(dir(pagerduty_alerting))


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="^module 'pagerduty_alerting' has no attribute 'AsyncClinet'$"):
        pagerduty_alerting.AsyncClinet  # type: ignore[attr-defined]  # noqa: B018


def test_a_star_import_imports_the_public_names() -> None:
    names: dict[str, object] = {}
    exec("from pagerduty_alerting import *", names)
    assert set(pagerduty_alerting.__all__) <= set(names)


@pytest.mark.parametrize(
    ("statement", "unloaded"),
    [
        ("import pagerduty_alerting", "aiohttp"),
        ("from pagerduty_alerting import NotFoundError, Service, RetryPolicy", "aiohttp"),
        ("from pagerduty_alerting import AsyncClient, Client", "pagerduty_alerting.emulator"),
    ],
)
def test_only_needed_modules_are_loaded(statement: str, unloaded: str) -> None:
    program = f"import sys; {statement}; sys.exit({unloaded!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


def modules_in(folder: Path) -> set[str]:
    names = {path.name for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    return {name.removesuffix(".py") for name in names} - {"__init__"}


def listed_in(docstring: str | None, *, indent: int = 4) -> set[str]:
    _, _, modules = (docstring or "").partition("## The modules\n")
    return set(re.findall(rf"^ {{{indent}}}(\w+)(?:\.py|/)?  +\w*", modules, flags=re.MULTILINE))


def test_the_docstrings_of_the_package_and_the_emulator_list_every_module() -> None:
    package = Path(pagerduty_alerting.__path__[0])
    assert listed_in(pagerduty_alerting.__doc__) | {"_generate"} == modules_in(package) | {"_generate"}

    emulator = package / "emulator"
    folders = ["rules", "faults", "control"]
    assert listed_in(pagerduty_alerting.emulator.__doc__) == modules_in(emulator)
    nested = [modules_in(emulator / folder) for folder in folders]
    assert listed_in(pagerduty_alerting.emulator.__doc__, indent=8) == set[str]().union(*nested)
