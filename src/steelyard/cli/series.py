"""Every model asked every task, data set and prompt that was named: a run of each, in a folder of its own."""

from __future__ import annotations

import json
import re
import shlex
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any

from steelyard.cli.company import check_first
from steelyard.cli.pairs import masked, read_pairs
from steelyard.cli.progress import ProgressLine
from steelyard.cli.screen import printable, tell
from steelyard.errors import Interrupted, StoreError, UsageError
from steelyard.evaluation import evaluate
from steelyard.models.base import Model
from steelyard.models.references import open_model
from steelyard.report.prices import Prices, describe_price, read_prices
from steelyard.store import Run
from steelyard.tasks.base import Task
from steelyard.tasks.references import open_task

_REFERENCES = ("model", "task", "data", "shot_data", "param", "metric")
_SERIES = ".series.json"
_CHAT = {"auto": None, "yes": True, "no": False}


@dataclass(frozen=True)
class _Place:
    """One task, data set and prompt of those that were named, by their numbers."""

    task: int
    data: int
    prompt: int


class Series:
    """Every combination of what was named; most often there is just one."""

    def __init__(self, asked: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        self.asked = asked
        self.now = now
        self.models: list[list[str]] = asked["model"]
        self.prompts = name_prompts(asked.get("prompt", []))
        counts = [len(asked.get(name) or [[]]) for name in ("task", "data", "prompt")]
        self.places = [_Place(*numbers) for numbers in product(*map(range, counts))]
        self.several = len(self.models) * len(self.places) > 1
        self.data_names: dict[int, str] = {}
        self.folders: set[Path] = set()
        self.home: Path | None = now.get("resume") or now.get("out")
        # Read before anything is asked: a file that is wrong is said at once.
        self.prices: Prices | None = read_prices(now["prices"]) if "prices" in now else None
        if self.several and any(source == "-" for source, *_ in asked.get("data", [])):
            raise UsageError("stdin can be read only once", hint="name one model and one task, or a file")
        if "check_independence" in now and any(source == "-" for source, *_ in asked.get("data", [])):
            hint = "a file, of which the first questions can be read before"
            raise UsageError("stdin can be read only once, and --check-independence reads it too", hint=hint)
        if self.several and self.home is None:
            self.home = Path("runs") / datetime.now().strftime("%Y-%m-%dT%H-%M-%S")

    def run_all(self) -> list[Run]:
        """Run one after the other; each model is opened once."""
        if self.several and self.home is not None:
            _note(self.home, self.asked)
        runs = []
        for named in self.models:
            with warnings.catch_warnings():
                # A model's remarks say it, too.
                warnings.filterwarnings("ignore", message="there is no cuda")
                model = open_model(named[0], **read_pairs(named[1:]))
            for remark in model.remarks:
                tell(printable(remark))
            if self.prices is not None and self.prices.find(model.name) is None:
                tell(f"{self.prices.path} has no price for {model.name}")
            try:
                runs += [self._run_one(named, model, place) for place in self.places]
            finally:
                model.close()
        return runs

    def _run_one(self, named: list[str], model: Model, place: _Place) -> Run:
        asked = {**self.asked, "model": [named], **self._chosen(place)}
        task = make_task(asked)
        names = self._names(task, place)
        folder = self._folder([*names.values(), model.name])
        title = " · ".join([*names.values(), model.name])
        chat, seed = _CHAT[asked.get("chat", "auto")], asked.get("seed", 0)
        checked: dict[str, Any] = {}
        if "check_independence" in self.now:
            count = self.now["check_independence"]
            checked["independence"] = check_first(model, task, count, chat=chat, seed=seed)
        progress = None if self.now.get("quiet") else ProgressLine(printable(title))
        try:
            run = evaluate(
                model,
                task,
                out=folder,
                repeat=asked.get("repeat", 1),
                seed=seed,
                chat=chat,
                concurrency=asked.get("concurrency"),
                resume="resume" in self.now and (not self.several or _is_run(folder)),
                retry_failed=self.now.get("retry_failed", False),
                csv=asked.get("csv", False),
                cache=asked.get("cache", False),
                deadline=self.now.get("deadline"),
                max_failures=self.now.get("max_failures"),
                watch=progress,
                about={**self._about(place), **describe_command(asked), **checked},
            )
        except Interrupted as error:
            if not self.several:
                raise
            hint = f"go on with: steelyard eval --resume {shlex.quote(str(self.home))}"
            raise Interrupted(str(error.args[0]), hint=hint) from error
        finally:
            if progress is not None:
                progress.close()
        if self.prices is not None and (price := self.prices.find(model.name)) is not None:
            run.update(price=describe_price(price))
        if checked:
            # Of a run that is gone on with, too.
            run.update(**checked)
        if skipped := getattr(task.data, "skipped", 0):
            run.update(skipped_rows=skipped, bad_rows=getattr(task.data, "bad_rows", []))
        self._tell_end(run)
        return run

    def _tell_end(self, run: Run) -> None:
        """Say where a run is stored, why it ended if it did before its end, and what a cache knew."""
        about = run.about
        if isinstance(note := about.get("cache"), dict):
            answers = "answer" if note["hits"] == 1 else "answers"
            tell(f"cache: {note['hits']:,} {answers} from {note['file']}")
        if about.get("state") != "done":
            tell(f"stopped: {printable(about.get('reason') or '')}; {about['answers']:,} answers are stored")
            home = self.home if self.several else run.path
            again = " --retry-failed" if any(result["failed"] for result in about["results"]) else ""
            tell(f"go on with: steelyard eval --resume {shlex.quote(str(home))}{again}")
        tell(f"stored in {run.path}")

    def _chosen(self, place: _Place) -> dict[str, Any]:
        """The flags of one combination, each with the one value of it."""
        numbers = vars(place)
        return {name: [self.asked[name][numbers[name]]] for name in numbers if self.asked.get(name)}

    def _names(self, task: Task, place: _Place) -> dict[str, str]:
        """What a run is called beside its model: the task, and data and prompt where there are several."""
        names = {"task": task.name}
        if len(self.asked.get("data", [])) > 1:
            data = self.data_names.get(place.data)
            if data is None:
                named = str(getattr(task.data, "name", task.name))
                data = self.data_names[place.data] = _free(named, self.data_names.values())
            # A task that was made of its data has the name of it.
            if data != task.name:
                names["data"] = data
        if len(self.prompts) > 1:
            names["prompt"] = str(self.prompts[place.prompt])
        return names

    def _about(self, place: _Place) -> dict[str, Any]:
        """What the run says of itself that its task does not."""
        prompt = self.prompts[place.prompt] if self.prompts else None
        data = self.data_names.get(place.data)
        return {**({"prompt": prompt} if prompt else {}), **({"data": data} if data else {})}

    def _folder(self, names: Sequence[str]) -> Any:
        if not self.several or self.home is None:
            return self.home
        name = re.sub(r"[^\w.+-]+", "-", "-".join(names))
        free = (self.home / (name if n == 1 else f"{name}-{n}") for n in range(1, 1 + len(self.folders) + 1))
        folder = next(path for path in free if path not in self.folders)
        self.folders.add(folder)
        return folder


def make_task(asked: Mapping[str, Any]) -> Task:
    """The task that the flags of one run describe."""
    named, *words = (asked.get("task") or [[None]])[0]
    options = {**read_pairs(words), **_given(asked, system="system")}
    if asked.get("prompt"):
        options["template"] = read_template(asked["prompt"][0])
    source, *columns = (asked.get("data") or [[options.pop("data", None)]])[0]
    rows = _given(
        asked,
        limit="limit",
        offset="offset",
        sample="sample",
        on_bad_row="on_bad_row",
        allow_remote_images="allow_remote_images",
    )
    if "sample" in rows:
        rows["seed"] = asked.get("seed", 0)
    answers = _given(asked, max_tokens="max_tokens", temperature="temperature", top_p="top_p", stop="stop")
    wanted = _given(asked, extract="extract", shots="shots", shot_data="shot_data")
    metrics = [(ref, read_pairs(given)) for ref, *given in asked.get("metric", [])]
    return open_task(
        named,
        data=source,
        data_options={**read_pairs(columns), **rows},
        params={**read_pairs(asked.get("param", [])), **answers},
        metrics=metrics,
        seed=asked.get("seed", 0),
        **{**options, **wanted},
    )


def read_template(given: str) -> str:
    """A prompt as it was given, or what stands in the file that it names; @@ begins one with an @."""
    if not given.startswith("@"):
        return given
    if given.startswith("@@"):
        return given[1:]
    path = Path(given[1:]).expanduser()
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        hint = "a prompt that begins with an @ is written with two"
        raise UsageError(f"the prompt {path} cannot be read: {error.strerror}", hint=hint) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the prompt {path} is not a text in UTF-8") from error
    # The line break that editors end a file with is no part of the question.
    return text.removesuffix("\n")


def name_prompts(given: Sequence[str]) -> list[str | None]:
    """What reports call each prompt: its file, or its number where there are several."""
    names: list[str | None] = []
    for number, prompt in enumerate(given, 1):
        is_file = prompt.startswith("@") and not prompt.startswith("@@")
        name = Path(prompt[1:]).stem if is_file else f"prompt {number}" if len(given) > 1 else None
        names.append(None if name is None else _free(name, [known for known in names if known]))
    return names


def stored_options(path: Path) -> dict[str, Any] | None:
    """The flags that a stored run or a series of them was begun with; None where there is neither."""
    if not _is_run(path):
        return _noted(path)
    stored = Run.open(path).about.get("options")
    if not isinstance(stored, dict):
        hint = "repeat all that it was begun with"
        raise UsageError(f"{path} was not begun by this command", hint=hint)
    # Where a run had one data set and one prompt at most, they were stored as such.
    if isinstance(prompt := stored.get("prompt"), str):
        stored["prompt"] = ["@" + prompt if prompt.startswith("@") else prompt]
    if (data := stored.get("data")) and isinstance(data[0], str):
        stored["data"] = [data]
    return stored


def find_runs(path: Path) -> list[Path]:
    """The runs of a series in the order they were begun; a run itself."""
    inside = [] if _is_run(path) else [run.parent for run in path.glob("*/run.json")]
    return sorted(inside, key=lambda run: (Run.open(run).about.get("created", ""), run.name)) or [path]


def describe_command(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The flags of a run as they are stored with it."""
    return {"options": _mask(asked), "command": ["steelyard", "eval", *write_flags(asked)]}


def write_flags(asked: Mapping[str, Any]) -> Iterator[str]:
    """The flags that say what is asked, without what is secret."""
    for name, value in _mask(asked).items():
        flag = "--" + name.replace("_", "-")
        if name in ("model", "task", "data", "metric"):
            for words in value:
                yield from (flag, *words)
        elif name == "param":
            yield from (flag, *value)
        elif value is True:
            yield flag
        else:
            for one in value if isinstance(value, list) else [value]:
                yield from (flag, str(one))


def _given(asked: Mapping[str, Any], **names: str) -> dict[str, Any]:
    """What was given of some flags, under other names."""
    return {name: asked[flag] for name, flag in names.items() if flag in asked}


def _mask(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The options as they may be stored: references and their options without what is secret."""

    def mask(value: Any) -> Any:
        return [mask(part) for part in value] if isinstance(value, list) else masked(value)

    return {name: mask(value) if name in _REFERENCES else value for name, value in asked.items()}


def _note(home: Path, asked: Mapping[str, Any]) -> None:
    """Write down what a series was begun with, where a pattern over its runs does not meet it."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        temporary = home / (_SERIES + ".new")
        temporary.write_text(json.dumps({"options": _mask(asked)}, indent=2) + "\n", "utf-8")
        temporary.replace(home / _SERIES)
    except OSError as error:
        raise StoreError(f"cannot write to {home}: {error.strerror or error}") from error


def _noted(home: Path) -> dict[str, Any] | None:
    try:
        options = json.loads((home / _SERIES).read_text("utf-8"))["options"]
    except OSError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        hint = "repeat all that it was begun with"
        raise StoreError(f"{home / _SERIES} is damaged", hint=hint) from error
    return options if isinstance(options, dict) else None


def _is_run(folder: Path) -> bool:
    return (folder / "run.json").exists()


def _free(name: str, taken: Any) -> str:
    """A name that is not taken: itself, or with a number behind it."""
    names = set(taken)
    numbered = [name, *(f"{name} {n}" for n in range(2, len(names) + 2))]
    return next(free for free in numbered if free not in names)
