"""Bugs of elements and their files."""

from __future__ import annotations

from chainlit_dynamodb.chat import transcript
from chainlit_dynamodb.chat.elements import Elements
from chainlit_dynamodb.rows import burial
from tests.simulation.mutants.mutant import Mutant

_DROP = "        await self._drop(row.get(OBJECT_KEY), may_be_missing=may_lack_its_file(row))\n"
_DELETE = "        old = await self._rows.delete(key) or {}\n"

ELEMENTS = (
    Mutant(
        "a loss is not logged",
        Elements._upload,
        'logger.error("Not stored: %s %s: %s", key.pk, key.sk, exc)',
        "pass",
    ),
    Mutant("an upload is not announced", Elements._upload, "await self._announce(key, fields, file)", "{}"),
    Mutant(
        "announcements are never tidied",
        burial.outdated,
        "return old_tombstones + [row for row in rows if is_announcement(row) and not may_still_arrive(row)]",
        "return old_tombstones",
    ),
    Mutant(
        "tombstones are never tidied",
        burial.outdated,
        "return old_tombstones + [",
        "return [",
    ),
    Mutant("announcements are outdated at once", burial.may_still_arrive, "return ", "return False and "),
    Mutant("an older upload wins", Elements._upload, 'self._uploaded.get(key, "") > stamp', "False"),
    Mutant(
        "uploads of an element overlap",
        Elements._store_file,
        "self._uploads.setdefault(key, asyncio.Lock())",
        "asyncio.Lock()",
    ),
    Mutant(
        "files stay", Elements._drop, "await self._files.delete(object_key, may_be_missing=may_be_missing)", "pass"
    ),
    Mutant("a file goes after its row", Elements._remove, _DROP + _DELETE, _DELETE + _DROP),
    Mutant(
        "deleted elements leave no tombstone",
        Elements._apply,
        "leaves_tombstone=True",
        "leaves_tombstone=False",
    ),
    Mutant("elements have no order", Elements.upsert, "order=stamp", 'order=""'),
    Mutant(
        "elements without a URL are left out",
        transcript.Transcripts.get,
        "await self._files.with_urls(transcript.elements)",
        "[]",
    ),
)
