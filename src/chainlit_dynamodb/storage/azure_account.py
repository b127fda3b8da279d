"""The arguments of both Azure clients: where an account is, and who may enter it."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from chainlit_dynamodb.errors import ConfigurationError, MissingDependencyError


@dataclass(frozen=True)
class Account:
    """A storage account.

    Attributes:
        name: Its name; signatures contain it.
        url: Its endpoint, without a slash at the end.
    """

    name: str
    url: str


@dataclass(frozen=True)
class Access:
    """How requests are signed: one of the three, or, with none, the identity of the machine. `repr` shows none.

    Attributes:
        account_key: A key of the account, in base64.
        sas_token: A shared access signature.
        token: A token credential of azure-identity.
    """

    account_key: str | None = field(default=None, repr=False)
    sas_token: str | None = field(default=None, repr=False)
    token: Any = field(default=None, repr=False)


def account_at(url: str, *, owner: str, name: str | None = None) -> Account:
    """Find out which account an endpoint belongs to.

    Args:
        url: As `https://account.blob.core.windows.net`, or `http://127.0.0.1:10000/account` for an emulator.
        owner: The class, for messages.
        name: The account's name, where the URL does not begin with it.

    Returns:
        The account.

    Raises:
        ConfigurationError: The URL is no endpoint, or its account cannot be told.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
        raise ConfigurationError(f"{owner}: account_url must look like https://account.blob.core.windows.net")
    path = parts.path.strip("/")
    found = path if _is_local(parts.hostname) else parts.hostname.partition(".")[0]
    if not (name or found):
        raise ConfigurationError(f"{owner}: account_url must end with the name of the account, as in {url}/name")
    return Account(name or found, f"{parts.scheme}://{parts.netloc}" + (f"/{path}" if path else ""))


def _is_local(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "." not in host
    return True


def access_with(credential: Any, *, owner: str, argument: str = "credential") -> Access:
    """Take any kind of credential that Azure's own clients take.

    Args:
        credential: An account key, a shared access signature, a mapping with `account_key`, an object of
            azure-core or azure-identity, or `None` for the identity of the machine.
        owner: The class, for messages.
        argument: The name of the argument, for messages.

    Returns:
        The credential, sorted.

    Raises:
        ConfigurationError: It is of another kind, or no key.
    """
    if isinstance(credential, Mapping):
        credential = credential.get("account_key", "")
    elif named_key := getattr(credential, "named_key", None):
        credential = named_key.key
    elif isinstance(signature := getattr(credential, "signature", None), str):
        credential = signature
    if credential is None:
        return Access()
    if hasattr(credential, "get_token"):
        return Access(token=credential)
    if not isinstance(credential, str):
        raise ConfigurationError(f"{owner}: {argument} is of a kind that Azure does not know")
    if "sig=" in credential:
        return Access(sas_token=credential.lstrip("?"))
    return Access(account_key=_checked_key(credential.strip(), owner, argument))


def _checked_key(key: str, owner: str, argument: str) -> str:
    try:
        if base64.b64decode(key, validate=True):
            return key
    except binascii.Error:
        pass
    raise ConfigurationError(f"{owner}: {argument} must be an account key in base64")


def one_name(owner: str, **given: Any) -> str:
    """Choose between the names of one argument.

    Args:
        owner: The class, for messages.
        **given: What each name was given.

    Returns:
        The one value.

    Raises:
        ConfigurationError: There is none, or two different ones.
    """
    names, values = " or ".join(given), {value for value in given.values() if value is not None}
    if len(values) != 1 or not all(isinstance(value, str) and value for value in values):
        raise ConfigurationError(f"{owner}: {names} must be one name, not {' and '.join(map(repr, values)) or None}")
    (value,) = values
    return str(value)


def require_sdk(module: str, package: str, extra: str) -> None:
    """Make sure that an SDK is there, without importing it.

    Args:
        module: What will be imported.
        package: Its distribution.
        extra: The extra of this package that brings it.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        found = find_spec(module)
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise MissingDependencyError(package, extra)
