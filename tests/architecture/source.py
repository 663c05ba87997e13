"""The tree as the house rules see it: the committed files, and what a module's source does."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("app", "workers", "api")

ENVIRONMENT = frozenset({"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"})
TRANSACTION = frozenset({"begin", "begin_nested", "commit"})


@cache
def committed_files() -> list[Path]:
    """Every file that is, or would be, committed."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def python_files(*folders: str) -> Iterator[tuple[str, str]]:
    """The name and the source of each Python file of these folders."""
    for path in committed_files():
        name = name_of(path)
        if path.suffix == ".py" and name.split("/")[0] in folders:
            yield name, path.read_text(encoding="utf-8")


def name_of(path: Path) -> str:
    """A path as people write it: from the root of the tree."""
    return path.relative_to(ROOT).as_posix()


def reads_environment(source: str) -> bool:
    """Whether it touches the process environment."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id="os"), attr=attr) if attr in ENVIRONMENT:
                return True
            case ast.ImportFrom(module="os", names=names):
                if any(alias.name in ENVIRONMENT for alias in names):
                    return True
    return False


def rules_a_transaction(source: str) -> bool:
    """Whether it begins or commits one."""
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in TRANSACTION
        for node in ast.walk(ast.parse(source))
    )


def prints(source: str) -> bool:
    """Whether it writes to the terminal by print."""
    return any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        for node in ast.walk(ast.parse(source))
    )


def lacks_a_docstring(source: str) -> bool:
    """Whether there is code, and nothing that says what it is."""
    tree = ast.parse(source)
    return bool(tree.body) and ast.get_docstring(tree) is None
