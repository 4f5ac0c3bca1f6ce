"""Where names become things: `resolve(kind, ref)`.

A reference is a built-in name, the name of an entry point in the group `steelyard.<kind>`,
"package.module:attribute", or "./file.py:attribute". Only what is named is imported:
nothing is scanned and nothing registers itself on import. A package that comes with a folder to
work in names itself in the group `steelyard.folders`: a module that is found neither in the working
folder nor installed is looked for there too.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from steelyard.builtin import BUILTINS
from steelyard.errors import SteelyardError, UnknownName, UsageError, describe

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")


def resolve(kind: str, ref: str) -> Any:
    """Return what `ref` names among the things of a kind (models, data, tasks, metrics, wires)."""
    builtin = BUILTINS[kind].get(ref)
    if builtin is not None:
        return _attribute(builtin.target)
    if ":" in ref:
        return _attribute(ref)
    for entry in _entries(kind):
        if entry.name == ref:
            return entry.load()
    known = [name for name, _ in names(kind)]
    raise UnknownName(_singular(kind), ref, known, hint="or module:name, ./file.py:name")


def names(kind: str) -> Iterator[tuple[str, str]]:
    """Every name of a kind with one line about it, the built-in ones first."""
    for name, builtin in sorted(BUILTINS[kind].items()):
        yield name, builtin.summary
    for entry in _entries(kind):
        yield entry.name, f"from {entry.dist.name if entry.dist else entry.value}"


def _entries(kind: str) -> list[EntryPoint]:
    # Here, because most names are built in and this import alone costs a third of our start-up.
    from importlib.metadata import entry_points

    return sorted(entry_points(group=f"steelyard.{kind}"), key=lambda entry: entry.name)


def is_reference(ref: str) -> bool:
    """Whether `ref` has the form module:attribute or file.py:attribute."""
    source, colon, attribute = ref.rpartition(":")
    return bool(colon and source and attribute.isidentifier())


def call_with(what: str, make: Callable[..., Any], options: Mapping[str, Any], *arguments: Any) -> Any:
    """Call something with options from outside; one that it does not take or wants besides is named."""
    parameters = inspect.signature(make).parameters.values()
    by_name = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    known = by_name[len(arguments) :]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        for option in options:
            if option not in known:
                near = get_close_matches(option, known, n=1) or known
                raise UsageError(
                    f"{what} has no option {option!r}", hint="it has " + (", ".join(near) or "none")
                )
    wanted = {p.name for p in parameters if p.default is p.empty}
    if missing := [name for name in known if name in wanted and name not in options]:
        raise UsageError(
            f"{what} needs {' and '.join(missing)}", hint=" ".join(f"{name}=…" for name in missing)
        )
    return make(*arguments, **options)


def reference(thing: Any) -> str | None:
    """The reference that `resolve` would find a function or class by, if there is one."""
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if module is None or name is None or "<" in name:
        return getattr(thing, "ref", None)
    for builtins in BUILTINS.values():
        for known, builtin in builtins.items():
            if builtin.target == f"{module}:{name}":
                return known
    file = getattr(sys.modules.get(module), "__file__", None)
    return f"{file}:{name}" if module.startswith("_steelyard_") else f"{module}:{name}"


def source_digest(thing: Any) -> str | None:
    """A digest of the file in which a function, class or object's class is written, if it is."""
    code = thing if inspect.isroutine(thing) or inspect.isclass(thing) else type(thing)
    try:
        source = inspect.getsourcefile(inspect.unwrap(code))
        text = Path(source).read_bytes() if source else None
    except (TypeError, OSError):
        return None
    return None if text is None else hashlib.blake2b(text, digest_size=12).hexdigest()


def _attribute(ref: str) -> Any:
    source, _, attribute = ref.rpartition(":")
    module = _file(Path(source)) if source.endswith(".py") else _module(source)
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise UnknownName(f"name in {source}", attribute, _public(module))
        found = getattr(found, part)
    return found


def _module(name: str) -> ModuleType:
    # As `python -m` does: a module in the working folder is found without installing it.
    if "" not in sys.path and (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        return _load(lambda: importlib.import_module(name))
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise UsageError(
                f"there is no module {name!r}", hint="is it installed, or in the working folder?"
            ) from error
        raise


def _load(load: Callable[[], T]) -> T:
    """Load a module, whose own imports may lie in the folders that packages offer."""
    try:
        return load()
    except ModuleNotFoundError as error:
        if not error.name or not _offer(error.name):
            raise
        return _load(load)


def _offer(missing: str) -> bool:
    """Have a module looked for in the folders that packages offer; whether there is more to look at."""
    top, _, rest = missing.partition(".")
    added = False
    for entry in _entries("folders"):
        found = importlib.util.find_spec(entry.value)
        for folder in map(Path, (found and found.submodule_search_locations) or ()):
            if not ((folder / top).is_dir() or (folder / f"{top}.py").is_file()):
                continue
            if str(folder) not in sys.path:
                # The last of all, so that it hides nothing.
                sys.path.append(str(folder))
                added = True
            # A folder of that name with an __init__.py of its own does not notice what the path says.
            parts = getattr(sys.modules.get(top), "__path__", None)
            if rest and isinstance(parts, list) and str(folder / top) not in parts:
                parts.append(str(folder / top))
                added = True
    return added


def _file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"there is no file {str(path)!r}")
    path = path.resolve()
    # Named by its whole path, so that two files called model.py do not shadow each other.
    name = f"_steelyard_{path.stem}_{hashlib.blake2b(str(path).encode(), digest_size=6).hexdigest()}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{str(path)!r} is not a Python file")
    loader, module = spec.loader, importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        _load(lambda: loader.exec_module(module))
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, SteelyardError) or not isinstance(error, Exception):
            raise
        raise UsageError(f"{path} cannot be loaded: {describe(error)}", hint=_line_in(path, error)) from error
    return module


def _line_in(path: Path, error: BaseException) -> str:
    """Which line of a file an error came from."""
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)
    ]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines.append(error.lineno)
    return f"see its line {lines[-1]}" if lines else ""


def _public(module: ModuleType) -> list[str]:
    return [name for name in vars(module) if not name.startswith("_")]


def _singular(kind: str) -> str:
    return kind if kind == "data" else kind.removesuffix("s")
