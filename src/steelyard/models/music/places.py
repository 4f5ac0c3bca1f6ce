"""Where the folders are that a configuration names: here, near the configuration, or on the hub."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from steelyard.errors import ModelError, describe

_SMALL_FILES = ["*.json", "*.model", "*.txt"]


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that a configuration names; of the hub it is a copy, without the weights at first."""

    name: str
    folder: Path
    hub: bool = False

    def weights(self, *, fetch: bool) -> list[Path]:
        """Its weights, as far as they are here; `fetch` has those of the hub come."""
        if fetch and self.hub and not any(self.folder.glob("*.safetensors")):
            try:
                _fetch(self.name, ["*.safetensors"])
            except Exception as error:
                raise ModelError(f"the weights of {self.name} did not come: {describe(error)}") from error
        return sorted(self.folder.glob("*.safetensors"))

    def descriptions(self) -> list[Path]:
        """What lies beside its weights: how it is built, how texts are cut."""
        return sorted(file for pattern in _SMALL_FILES for file in self.folder.glob(pattern))


def find_folder(name: str, *, near: Sequence[Path], role: str) -> Place:
    """The folder that is named: as it stands, beside one of `near`, else what the hub has of that name."""
    looked = list(dict.fromkeys(_candidates(name, near)))
    for folder in looked:
        if (folder / "config.json").is_file():
            return Place(name, folder)
    try:
        validate_repo_id(name)
        return Place(name, _fetch(name, _SMALL_FILES), hub=True)
    except HFValidationError:
        why = "the hub knows no such names"
    except Exception as error:  # noqa: BLE001  Whatever keeps it from coming.
        why = f"the hub was no help: {describe(error)}"
    tried = ", ".join(str(folder.absolute()) for folder in looked)
    raise ModelError(
        f"there is no folder {name} with a config.json, from which {role} could be built: "
        f"looked for as {tried} and in {constants.HF_HUB_CACHE}; {why}",
        hint="put the folder beside the checkpoint's config.yaml, or start where it lies",
    )


def _candidates(name: str, near: Sequence[Path]) -> Iterator[Path]:
    literal = Path(name).expanduser()
    yield literal
    for folder in near:
        yield folder / literal
    # A name of the hub, copied by hand.
    for folder in near:
        yield folder / literal.name


def _fetch(name: str, patterns: list[str]) -> Path:
    return Path(snapshot_download(name, allow_patterns=patterns, ignore_patterns=["*/*"]))
