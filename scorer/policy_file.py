"""The policy of a deployment: a TOML file, with its lists of ids in files beside it."""

import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from feature_service.id_list import IdList, IdListError, parse_id_list
from feature_service.identity import IdKey
from scorer.errors import PolicyError
from scorer.policy import Decider, Policy

# Who changed the policy and why: for the record, and no part of the policy.
_NOTES = ("changed_by", "reason")


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    decider: Decider
    changed_by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WrittenPolicy:
    """What stands in the file; its lists are not read yet."""

    path: Path
    policy: Policy
    changed_by: str
    reason: str

    @property
    def list_files(self) -> dict[str, Path]:
        """By name of the list."""
        return {each.name: self.path.parent / each.file for each in self.policy.lists}

    def load(self, key: IdKey) -> LoadedPolicy:
        """With its lists. Raises: PolicyError, which names no id."""
        ids = {name: _ids(file, key) for name, file in self.list_files.items()}
        return LoadedPolicy(Decider(self.policy, ids), self.changed_by, self.reason)


def read_policy(path: Path) -> WrittenPolicy:
    """Raises: PolicyError."""
    try:
        document = tomllib.loads(_content(path).decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PolicyError(f"{path}: not TOML: {error}") from error
    notes = {name: document.pop(name, "") for name in _NOTES}
    for name, text in notes.items():
        if not isinstance(text, str):
            raise PolicyError(f"{path}: {name}: write it as text, in quotes")
    try:
        policy = Policy.model_validate(document)
    except ValidationError as error:
        raise PolicyError(f"{path}: {_words(error)}") from error
    for each in policy.lists:
        file = PurePosixPath(each.file)
        if file.is_absolute() or ".." in file.parts:
            raise PolicyError(f"{path}: lists.{each.name}.file: give a file beside {path.name}, or below its folder")
    return WrittenPolicy(path, policy, **notes)


def load_policy(path: Path, key: IdKey) -> LoadedPolicy:
    """Raises: PolicyError."""
    return read_policy(path).load(key)


def _ids(file: Path, key: IdKey) -> IdList:
    try:
        return parse_id_list(_content(file), key)
    except IdListError as error:
        raise PolicyError(f"{file}: {error}") from error


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise PolicyError(f"{file} cannot be read: {error.strerror}") from error


def _words(error: ValidationError) -> str:
    """Every fault with its place; never a value, which might be an id."""
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'the policy'}: "
        + ("is unknown here" if fault["type"] == "extra_forbidden" else fault["msg"].removeprefix("Value error, "))
        for fault in error.errors(include_input=False, include_url=False)
    )
