"""The programs in examples/, loaded as modules or started as programs, and those in the README."""

import importlib.util
import re
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType

from tests.support.scripts import Script, program_of, script

EXAMPLES = Path(__file__).parents[2] / "examples"
README = EXAMPLES.parent / "README.md"

BLOCKS = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
README_TESTS = "\n".join(block for block in BLOCKS if "def test_" in block)


def source_of(name: str) -> str:
    """Returns the source of the example."""
    return (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")


def load(name: str) -> ModuleType:
    """Returns the example as a new module, which reads the environment as it is now."""
    path = EXAMPLES / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where Django, for example, looks it up
    spec.loader.exec_module(module)
    return module


def started(name: str, settings: Mapping[str, str]) -> AbstractContextManager[Script]:
    """Starts the example as a program that tolerates no warning, with only these settings in its environment."""
    return script(program_of(EXAMPLES / f"{name}.py"), settings, "-Werror", preamble="")


def run(name: str) -> str:
    """Runs the example by itself; returns what it printed."""
    with started(name, {}) as running:
        status, output, errors = running.end()
    assert status == 0, errors
    return output + errors
