"""How the package and its tests are laid out."""

import ast
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nucleus_unet
import pytest
from helpers.paths import ROOT, TESTS

PACKAGE = Path(nucleus_unet.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the module and the name of every ``from module import name`` in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from (("." * node.level + (node.module or ""), alias.name) for alias in node.names)


def test_no_layer_imports_a_layer_above_it() -> None:
    pytest.importorskip("importlinter", reason="import-linter is not installed; the dependency group dev has it")
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PACKAGE.parent), *filter(None, sys.path)])}
    options = ["--config", "pyproject.toml", "--no-cache"]
    result = subprocess.run(
        [*command, *options], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_modules_take_only_the_version_and_the_kernels_from_the_root_of_the_package() -> None:
    below = [path for path in MODULES if path != PACKAGE / "__init__.py"]
    taken = {name for path in below for module, name in imports(path) if module == "nucleus_unet"}
    assert taken == {"_core", "__version__"}


def test_no_module_is_longer_than_400_lines() -> None:
    lines = {str(path.relative_to(PACKAGE)): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {name: length for name, length in lines.items() if length > 400} == {}


def test_the_root_of_the_package_has_at_most_ten_modules() -> None:
    assert len([path for path in MODULES if path.parent == PACKAGE]) <= 10


def test_the_folders_of_tests_are_those_of_the_package_and_attacks() -> None:
    folders = {path.parent.relative_to(TESTS) for path in TESTS.rglob("test_*.py")} - {Path("attacks")}
    assert {folder for folder in folders if not (PACKAGE / folder / "__init__.py").exists()} == set()


def test_a_function_is_not_hidden_by_the_module_of_its_name() -> None:
    for package, name in (("evaluation", "evaluate"), ("comparison", "compare")):
        importlib.import_module(f"nucleus_unet.{package}.{name}")
        assert callable(getattr(importlib.import_module(f"nucleus_unet.{package}"), name))


def test_no_test_module_imports_another() -> None:
    faults = {
        (path.name, module)
        for path in TESTS.rglob("*.py")
        for module, _ in imports(path)
        if module.rpartition(".")[2].startswith("test_") or module in {"conftest", "tests"}
        if not module.startswith("nucleus_unet.")
    }
    assert faults == set()
