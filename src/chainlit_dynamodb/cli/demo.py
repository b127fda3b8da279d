"""`demo`: a chat to play with, no AWS account and no key needed."""

from __future__ import annotations

import shutil
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import click

from chainlit_dynamodb.cli.local import LocalSetup, run_locally
from chainlit_dynamodb.cli.ports import check_port
from chainlit_dynamodb.ops.embedded import DEFAULT_REGION, require_engine

_APP: Final = "app.py"
_LOGIN: Final = ("demo", "demo")
_HOST: Final = "127.0.0.1"
_LOOPBACK: Final = (_HOST, "localhost", "::1")


@click.command("demo", short_help="Serve a chat to play with.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Where to serve.")
@click.option(
    "--host",
    default=_HOST,
    show_default=True,
    help="Where to listen. Everybody who reaches another address can log in: the login is no secret.",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".demo"),
    show_default=True,
    help="The folder that keeps the chats.",
)
@click.option("--open", "open_browser", is_flag=True, help="Open it in the browser.")
@click.pass_context
def demo(ctx: click.Context, port: int, host: str, data: Path, open_browser: bool) -> None:
    """Serve a chat to play with: its history lives in an embedded DynamoDB, its files in an embedded S3.

    Its bot needs no model and no key. Stop it with Ctrl-C; the next start finds the chats again.

    \b
    Example:
      chainlit-dynamodb demo
      chainlit-dynamodb demo --port 8080 --open
    """
    # Said in any case: else it would be served where CHAINLIT_HOST says.
    arguments = ["--host", host, "--port", str(port), *([] if open_browser else ["--headless"])]
    require_engine()
    check_port(arguments)
    setup = LocalSetup(data / "engine", "chainlit-demo", "chainlit-demo-files", DEFAULT_REGION)
    with as_file(files("chainlit_dynamodb") / "demo") as source:
        _lay_out(source, data)
        click.echo(f"Chat     http://localhost:{port}")
        click.echo(f"Login    {_LOGIN[0]} / {_LOGIN[1]}")
        if host not in _LOOPBACK:
            click.echo(f"Warning: whoever reaches {host} can log in as {_LOGIN[0]} and read all chats.", err=True)
        ctx.exit(run_locally(setup, [str(source / _APP), *arguments], _environment(data)))


def _lay_out(source: Path, data: Path) -> None:
    """Copy what Chainlit looks for beside an app; an upgrade brings its own."""
    (data / ".chainlit").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / "config.toml", data / ".chainlit" / "config.toml")
    shutil.copyfile(source / "readme.md", data / "chainlit.md")
    shutil.copytree(source / "public", data / "public", dirs_exist_ok=True)


def _environment(data: Path) -> dict[str, str]:
    return {
        "CHAINLIT_APP_ROOT": str(data.resolve()),
        "CHAINLIT_DEMO_LOGIN": ":".join(_LOGIN),
    }
