"""No module but ``coffee_core.settings`` reads a setting from the environment: no default stands twice."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from coffee_core.settings import Settings

ROOT = Path(__file__).parents[3]
OURS = ("backend", "coffee_core", "coffee_tui", "flink")
PEERS = Path("backend/lab/bench/peers")
"""Programs as others write them, which import nothing of ours."""
EXCEPTIONS = {
    "COFFEE_PIPELINE_PACKAGES": "a setting that the registry of pipelines reads before the settings check it",
    "DATABASE_URL": "whether it is given at all decides, first of all, for whom libpq's variables are",
    "COFFEE_PIPELINE_FOLDERS": "no setting: a process hands it to those that it starts",
    "COFFEE_READY_FILE": "no setting: a wrapper of the stack hands it to its daemon",
    "COFFEE_TUI_SERVER": "no setting: the web server of the dashboard hands it to those that it starts",
}


def modules() -> dict[Path, ast.Module]:
    """Return those that read the environment or name one of our variables; to parse the others takes 1.3 s."""
    paths = [path for folder in OURS for path in sorted((ROOT / folder).rglob("*.py"))]
    texts = {path.relative_to(ROOT): path.read_text(encoding="utf-8") for path in paths}
    texts = {path: text for path, text in texts.items() if path.parent != PEERS}
    return {path: ast.parse(text) for path, text in texts.items() if re.search(r"environ|getenv|\bCOFFEE_", text)}


def constants(trees: dict[Path, ast.Module]) -> dict[str, str]:
    """Return every text that a module assigns to a name, by that name."""
    found = {}
    for tree in trees.values():
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                for target in node.targets:
                    if isinstance(target, ast.Name) and isinstance(node.value.value, str):
                        found[target.id] = node.value.value
    return found


def variables_read(tree: ast.Module) -> Iterator[ast.expr]:
    """Yield what stands for the variable's name wherever the environment is read."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Attribute(attr="environ"), attr="get" | "pop" | "setdefault"),
                args=[name, *_],
            ):
                yield name
            case ast.Call(
                func=ast.Attribute(value=ast.Name("environ"), attr="get" | "pop" | "setdefault"), args=[name, *_]
            ):
                yield name
            case ast.Call(func=ast.Attribute(attr="getenv") | ast.Name("getenv"), args=[name, *_]):
                yield name
            case ast.Subscript(
                value=ast.Attribute(attr="environ") | ast.Name("environ"), slice=name, ctx=ast.Load()
            ):
                yield name


def read_beside_the_settings() -> dict[str, list[str]]:
    """Return the variables of ours that other modules read, with the modules that do."""
    trees = modules()
    values = constants(trees)
    settings = {setting.metadata["env"] for setting in fields(Settings)}
    found: dict[str, list[str]] = {}
    for path, tree in trees.items():
        if path == Path("coffee_core/settings.py"):
            continue
        for name in variables_read(tree):
            text = (
                name.value if isinstance(name, ast.Constant) else values.get(ast.unparse(name).rpartition(".")[2])
            )
            if isinstance(text, str) and (text in settings or text.startswith("COFFEE_")):
                found.setdefault(text, []).append(str(path))
    return found


def test_settings_are_read_in_one_place() -> None:
    found = read_beside_the_settings()
    assert found.keys() == EXCEPTIONS.keys(), found
    # A child gets it completed by those variables, before anybody there reads the settings.
    assert found.pop("DATABASE_URL") == ["coffee_core/children.py", "coffee_core/entry.py"]
    assert all(len(paths) == 1 for paths in found.values()), found
