"""Puts this package's classes at the import paths of Chainlit's built-in layer.

    import chainlit_dynamodb.drop_in  # first line of the app

    from chainlit.data.dynamodb import DynamoDBDataLayer
    from chainlit.data.storage_clients import S3StorageClient

Nothing of the built-in layer is executed, and no SDK is imported before its class is used. A class whose SDK
is not installed still imports; making an object of it raises the error that gives the line to install it.
"""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from types import ModuleType
from typing import Any, Final

logger = logging.getLogger("chainlit.DynamoDB")

_STORAGE: Final = "chainlit.data.storage_clients"
_STORAGE_CLASSES: Final = {
    "AzureBlobStorageClient": "azure_blob",
    "AzureStorageClient": "azure",
    "GCSStorageClient": "gcs",
    "S3StorageClient": "s3",
}


def install() -> None:
    """Put the classes in place. Importing this module does it; doing it again changes nothing."""
    _replace("chainlit.data.dynamodb", "DynamoDBDataLayer")
    package = import_module(_STORAGE)
    for class_name, module_name in _STORAGE_CLASSES.items():
        _replace(f"{_STORAGE}.{module_name}", class_name)
    _serve(package, *_STORAGE_CLASSES)


def _replace(name: str, class_name: str) -> None:
    present = sys.modules.get(name)
    if present is not None and _is_ours(present):
        return
    if present is not None:
        logger.warning("%s was imported before chainlit_dynamodb.drop_in; import the drop-in first.", name)
    module = module_from_spec(ModuleSpec(name, loader=None, origin=__name__))
    _serve(module, class_name)
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    setattr(import_module(parent), child, module)


def _is_ours(module: ModuleType) -> bool:
    return module.__spec__ is not None and module.__spec__.origin == __name__


def _serve(module: ModuleType, *class_names: str) -> None:
    """Let a module offer these classes, each loaded when it is first asked for."""

    def lookup(name: str) -> Any:
        if name not in class_names:
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        return getattr(import_module("chainlit_dynamodb"), name)

    module.__dict__["__getattr__"] = lookup
    module.__dict__["__all__"] = list(class_names)


install()
