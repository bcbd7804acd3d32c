"""Promises of the public API: ``bharsdk`` alone is enough, costs nothing, explains each name."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import bharsdk

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))
FOLDERS = [ROOT / name for name in ("cpp_ops", "docs", "examples", "export", "training")]
PAGES = sorted([*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in folder.rglob("*.md"))])
NOTEBOOKS = sorted(page for folder in FOLDERS for page in folder.rglob("*.ipynb"))
SOURCE = ROOT / "bharsdk" / "__init__.py"

USERS_PACKAGES = {"cv2", "numpy", "torch"}
"""What a program that uses bharsdk has anyway."""
OF_TRAINING = {("bhar_training.cli", "main"), ("bhar_export.cli", "main")}
"""The commands, which are public, as functions of the arguments; all else there is private."""
OF_ROS = {"rclpy", "sensor_msgs", "setuptools", "std_msgs", "std_srvs", "bharsdk_ros"}
"""What the ROS 2 example has: ROS, and itself."""


def _blocks(page: Path) -> list[tuple[int, str]]:
    """The Python blocks of a page, each with the line on which it begins."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^([ \t]*)```python\b[^\n]*\n(.*?)^\1```", text, re.MULTILINE | re.DOTALL)
    return [(text.count("\n", 0, block.start(2)) + 1, textwrap.dedent(block[2])) for block in found]


def _imports(tree: ast.AST) -> list[tuple[int, str, list[str]]]:
    """(line, module, names) of every import, wherever in the file it is."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name, list[str]()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
            found.append((node.lineno, "." * node.level + (node.module or ""), names))
    return found


def _foreign(code: str, allowed: set[str]) -> list[str]:
    """What ``code`` imports that a user of bharsdk should not need."""
    found = []
    for line, module, names in _imports(ast.parse(code)):
        package = module.split(".")[0]
        if module == "bharsdk":
            unknown = [name for name in names if name not in bharsdk.__all__]
            found += [f"line {line}: {name} is no public name of bharsdk" for name in unknown]
        elif {(module, name) for name in names or [""]} <= OF_TRAINING:
            continue
        elif package not in sys.stdlib_module_names and package not in allowed:
            found.append(f"line {line}: imports {module}")
    return found


def _invented(code: str) -> set[str]:
    """Classes that ``code`` uses, but neither imports nor defines."""
    nodes = list(ast.walk(ast.parse(code)))
    used = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    known = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    known |= {n.name for n in nodes if isinstance(n, ast.ClassDef | ast.FunctionDef)}
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            known |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return {name for name in used - known if name[0].isupper() and not hasattr(builtins, name)}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_example_needs_bharsdk_alone(path: Path):
    allowed = USERS_PACKAGES | (OF_ROS if "ros2" in path.parts else set())
    assert _foreign(path.read_text(encoding="utf-8"), allowed) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_on_a_page_needs_bharsdk_alone(page: Path):
    """It imports public names of bharsdk; a class that it names without an import is public."""
    for line, code in _blocks(page):
        where = f"{page.relative_to(ROOT)}, line {line}"
        assert (where, _foreign(code, USERS_PACKAGES)) == (where, [])
        unknown = _invented(code) - set(bharsdk.__all__)
        assert (where, unknown) == (where, set())


def test_a_notebook_needs_bharsdk_alone():
    """And the two commands of training, where it is about training."""
    for page in NOTEBOOKS:
        cells = json.loads(page.read_text(encoding="utf-8"))["cells"]
        code = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
        assert (page.name, _foreign(code, USERS_PACKAGES)) == (page.name, [])


def test_there_are_examples_and_pages_to_look_at():
    """The tests above would pass if nothing were found."""
    assert len(EXAMPLES) >= 9
    assert any(_blocks(page) for page in PAGES)


@pytest.mark.parametrize(
    "code",
    [
        "from bharsdk.recognizer import Recognizer",
        "from bharsdk import Recognizer, assert_never",
        "import bharsdk.engines.engine",
        "def late():\n    from bhar_training.data.clip_files import find_videos",
        "from bhar_training.cli import main, other",
        "import onnxruntime",
        "from . import other",
    ],
)
def test_what_is_not_public_is_found(code: str):
    assert len(_foreign(code, USERS_PACKAGES)) == 1


def test_a_class_that_nobody_defines_is_found():
    assert _invented("stream = OnnxEngine(load_bundle('m.bhar')).stream()") == {"OnnxEngine"}


# ---- the list of names ------------------------------------------------------------------------


def _for_type_checkers() -> dict[str, str]:
    """Public name -> its module, as type checkers and editors see them."""
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    block = next(n for n in tree.body if isinstance(n, ast.If))
    assert isinstance(block.test, ast.Name)
    assert block.test.id == "TYPE_CHECKING"
    return {
        name: module.removeprefix("bharsdk.")
        for _, module, names in _imports(block)
        for name in names
    }


def test_editors_and_python_find_the_same_names():
    assert _for_type_checkers() == bharsdk._HOME
    assert set(bharsdk.__all__) == {*bharsdk._HOME, "__version__"}


def test_names_are_listed_once_in_order():
    """Constants first, then classes, then functions, as linters have it."""
    ordered = sorted(set(bharsdk.__all__), key=lambda n: (not n.isupper(), not n[0].isupper(), n))
    assert bharsdk.__all__ == ordered
    assert list(bharsdk._HOME) == sorted(bharsdk._HOME)


@pytest.mark.parametrize("name", sorted(bharsdk._HOME))
def test_a_public_name_is_where_it_is_said_to_be_and_is_explained(name: str):
    value = getattr(bharsdk, name)
    module = importlib.import_module(f"bharsdk.{bharsdk._HOME[name]}")
    assert getattr(module, name) is value
    assert name in module.__all__
    assert _documentation(name, module.__file__) is not None


def _documentation(name: str, file: str | None) -> str | None:
    """The text below ``class``, ``def`` or an assignment: aliases have it too, in the source."""
    assert file is not None
    body = ast.parse(Path(file).read_text(encoding="utf-8")).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return ast.get_docstring(node)
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        if [ast.unparse(target) for target in targets] == [name]:
            match after:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    return text
    return None


@pytest.mark.parametrize("name", sorted(bharsdk._HOME))
def test_every_method_of_a_public_class_is_explained(name: str):
    value = getattr(bharsdk, name)
    if not inspect.isclass(value):
        return
    silent = [
        member
        for member, thing in vars(value).items()
        if not member.startswith("_")
        and (inspect.isfunction(thing) or isinstance(thing, property | classmethod | staticmethod))
        and not inspect.getdoc(thing)
    ]
    assert silent == []


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'bharsdk' has no attribute 'Recogniser'"):
        _ = bharsdk.Recogniser


def test_importing_bharsdk_loads_nothing_else():
    """No numpy, and no module of its own, until a name is used."""
    code = (
        "import sys; before = set(sys.modules); import bharsdk; dir(bharsdk);"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = done.stdout.split()
    assert "bharsdk" in loaded
    others = {"__future__"}
    assert [name for name in loaded if name != "bharsdk" and name not in others] == []


def test_an_error_loads_no_numpy():
    """A program may catch errors before it pays for the recognizer."""
    code = "import sys; from bharsdk import BharError, Event; print('numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "False"
