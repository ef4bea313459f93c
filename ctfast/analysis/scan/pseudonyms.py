"""Stand-ins for what names a patient, so that a report can be shown: the same in all reports of one user.

A patient's number has few digits, so that anybody could hash all of them and look a plain hash up. Stand-ins are
therefore made with a secret key (HMAC-SHA256): a random one in the user's configuration folder, which nobody else may
read, or the text of the environment variable ``CTFAST_PSEUDONYM_KEY``, by which several people get the same ones.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from ctfast.analysis.scan.records import Collection
from ctfast.files import Unread

_NAMING: Final = {"patient": "P", "study": "ST", "series": "SE"}
"""Facts that stand for one person, and what their stand-ins begin with."""
_DIGITS: Final = 10


def hide_identities(collection: Collection) -> None:
    """Put stand-ins for PatientID, Study and Series Instance UID, and leave out in which folders the inputs lie."""
    for record in collection.records:
        for fact, prefix in _NAMING.items():
            if fact in record.facts:
                record.facts[fact] = pseudonym(prefix, str(record.facts[fact]))
    folders = [os.path.abspath(name) for name in collection.inputs]
    collection.inputs = tuple(Path(folder).name for folder in folders)
    collection.ignored = [Unread(Path(left.name).name, left.reason) for left in collection.ignored]
    collection.unread = [Unread(bad.name, _without(bad.reason, folders)) for bad in collection.unread]


def pseudonym(prefix: str, value: str) -> str:
    """``prefix-`` and 10 hexadecimal digits: equal for equal values and keys."""
    return f"{prefix}-{hmac.new(_key(), value.encode(errors='surrogateescape'), hashlib.sha256).hexdigest()[:_DIGITS]}"


def _without(text: str, folders: list[str]) -> str:
    for folder in folders:
        text = text.replace(f"{folder}{os.sep}", "")
    return text


def _key() -> bytes:
    chosen = os.environ.get("CTFAST_PSEUDONYM_KEY")
    return chosen.encode(errors="surrogateescape") if chosen else _own_key()


@cache
def _own_key() -> bytes:
    """The user's key, made at the first use; one for this process alone where no folder can be written."""
    fresh = secrets.token_bytes(32)
    try:
        home = os.environ.get("XDG_CONFIG_HOME")
        path = Path(home or Path.home() / ".config") / "ctfast" / "pseudonym.key"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        whole = path.with_name(f".{secrets.token_hex(8)}")
        whole.touch(0o600)
        whole.write_bytes(fresh)
        with suppress(FileExistsError):  # another process was first
            os.link(whole, path)
        whole.unlink()
        return path.read_bytes()
    except (OSError, RuntimeError):
        return fresh
