"""What a search was begun with: how it is known again, here and by others who join it."""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from dlcli.config import Config, ConfigFile
from dlcli.errors import RunError, UsageError
from dlcli.pipeline.data_loading import data_files
from dlcli.pipeline.tuning.settings import Settings
from dlcli.pipeline.tuning.storage import masked
from dlcli.runs import (
    LIMITS,
    STUDY,
    RunWriter,
    fingerprint,
    read_object,
    resume_command,
)

_ASIDE: dict[str, object] = {
    "name": None,
    "device": "auto",
    "threads": "auto",
    "checkpoint": {},
}
"""What may differ between those who work on one study: it changes no candidate."""
_PATHS = ("train", "validation", "test")
_TOKEN = 8


@dataclass(frozen=True)
class Known:
    """What the run folder knows of its study."""

    study: str
    """Its name."""
    run: str
    """The token by which the trials of this folder are known in a storage that is shared."""
    storage: str | None
    """The URL of the storage, without a password; `None`: it is in the folder."""
    nested: bool

    @classmethod
    def begun(cls, file: ConfigFile, settings: Settings) -> Known:
        """That of a search that begins."""
        url = settings.storage
        return cls(
            study=file.name,
            run=secrets.token_hex(_TOKEN),
            storage=None if url is None else masked(url),
            nested=settings.nested,
        )

    @classmethod
    def of(cls, writer: RunWriter) -> Known:
        """That of a search that goes on.

        Raises:
            RunError: if it is damaged.
        """
        fields = read_object(writer.path / STUDY, LIMITS["study.json"])
        try:
            known = cls(**{name: fields[name] for name in cls.__dataclass_fields__})
        except KeyError as error:
            raise RunError(f"{writer.path / STUDY}: has no {error}; search again") from None
        texts = (known.study, known.run, known.storage or "")
        if not all(isinstance(each, str) for each in texts):
            raise RunError(f"{writer.path / STUDY}: holds something else than names; search again")
        return known

    def check_named(self, url: str | None, writer: RunWriter) -> None:
        """Refuses to go on anywhere else than where the search was begun.

        A storage that is shared has to be named again: its password isn't kept, and a folder may
        come from a stranger, who could name any server.

        Raises:
            UsageError: saying what to type.
        """
        if self.storage is not None and url is None:
            shown = shlex.quote(self.storage)
            way_out = f"name it again: {resume_command(writer.path)} --storage {shown}"
            raise UsageError(
                f"{writer.path}: its trials are in a storage that is shared; {way_out}"
            )
        if self.storage is None and url is not None:
            raise UsageError(f"{writer.path}: its trials are in it; leave --storage out")

    def store(self, writer: RunWriter, origin: Mapping[str, object]) -> None:
        """Keeps it in the run folder, with what the search was begun with."""
        writer.write_study({**self.__dict__, "origin": origin})


def origin_of(file: ConfigFile) -> dict[str, object]:
    """What all trials of a study must have in common, for JSON.

    It is the same on every machine: a digest of the config without the paths of its files, and one
    of each file's content.
    """
    return {
        "config": sha256(_plain(file.config).encode()).hexdigest(),
        "data": [fingerprint(path)["sha256"] for path in data_files(file)],
    }


def _plain(config: Config) -> str:
    fields = config.model_dump(mode="json", by_alias=True)
    fields.update(_ASIDE)
    fields["data"].update({name: _without_path(fields["data"][name]) for name in _PATHS})
    return json.dumps(fields, sort_keys=True)


def _without_path(source: object) -> object:
    return source if isinstance(source, float) else source is not None
