"""Bugs of elements and their files."""

from __future__ import annotations

from chainlit_dynamodb.chat import transcript
from chainlit_dynamodb.chat.elements import Elements
from chainlit_dynamodb.rows import burial
from tests.simulation.mutants.mutant import Mutant

_DROP = "        await self._drop(row.get(OBJECT_KEY), may_be_missing=is_announcement(row))\n"
_BURY = "        old = await (self._rows.bury(key, row) if leaves_tombstone else self._rows.delete(key)) or {}\n"

ELEMENTS = (
    Mutant(
        "a loss is not logged",
        Elements._upload,
        'logger.error("Not stored: %s %s: %s", key.pk, key.sk, exc)',
        "pass",
    ),
    Mutant("an upload is not announced", Elements._upload, "await self._announce(key, fields, file)", "{}"),
    Mutant(
        "announcements replace what is there", Elements._announce, "condition=missing(OBJECT_KEY)", "condition=None"
    ),
    Mutant("announcements are shown", burial.is_announcement, "return ", "return False and "),
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
    Mutant("an upload does not heed tombstones", Elements._upload, "if BURIED_AT in row:", "if False:"),
    Mutant("an older upload wins", Elements._upload, 'self._uploaded.get(key, "") > stamp', "False"),
    Mutant(
        "uploads of an element overlap",
        Elements._upload,
        "self._uploads.setdefault(key, asyncio.Lock())",
        "asyncio.Lock()",
    ),
    Mutant(
        "what was deleted during an upload is stored",
        Elements.upsert,
        "                await self._take_back(key, object_key)\n                return\n",
        "                pass\n",
    ),
    Mutant(
        "what was deleted during a write is kept",
        Elements._store,
        "await self._take_back(key, change.assign.get(OBJECT_KEY))",
        "pass",
    ),
    Mutant(
        "the file of a refused write stays",
        Elements._store,
        "await self._drop(change.assign.get(OBJECT_KEY))",
        "pass",
    ),
    Mutant("the file of a write that waited stays", Elements.upsert, "await self._drop(own.get(OBJECT_KEY))", "pass"),
    Mutant(
        "files stay", Elements._drop, "await self._files.delete(object_key, may_be_missing=may_be_missing)", "pass"
    ),
    Mutant("a file that arrived meanwhile stays", Elements._remove, "await self._drop(old.get(OBJECT_KEY))", "pass"),
    Mutant("a file goes after its row", Elements._remove, _DROP + _BURY, _BURY + _DROP),
    Mutant("a new file is not named", Elements.upsert, "{OBJECT_KEY: object_key} if object_key else {}", "{}"),
    Mutant(
        "deleted elements leave no tombstone",
        Elements._apply,
        "leaves_tombstone=not is_thread_gone",
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
