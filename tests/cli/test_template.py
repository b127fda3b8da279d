"""`template` prints the seed's CloudFormation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from chainlit_dynamodb.cli.main import main
from chainlit_dynamodb.schema import TableSpec

SEED = Path(__file__).parent.parent / "seed" / "README.md"


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["template", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def seed_template() -> str:
    found = re.search(r"```yaml\n(.*?)```", SEED.read_text(), re.DOTALL)
    assert found
    return found[1]


def test_it_is_the_text_of_the_seed() -> None:
    assert printed() == seed_template()


@pytest.mark.parametrize("table", ["chats", "my.Table_1-b"])
def test_the_table_name_is_filled_in(table: str) -> None:
    assert printed(table) == seed_template().replace("<YOUR-TABLE-NAME>", table)


@pytest.mark.parametrize("table", ["chats", "1234", "true", "a-b"])
def test_it_describes_the_table_that_create_table_makes(table: str) -> None:
    resources = yaml.safe_load(printed(table))["Resources"]
    assert resources == {
        "DynamoDBTable": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": TableSpec(table).create_table_request(),
        }
    }


@pytest.mark.parametrize("table", ['a b"c', 'a"b', "ab", "", "a" * 256, "chats\n", "<chats>"])
def test_a_name_that_no_table_can_have_is_one_line(table: str) -> None:
    result = CliRunner().invoke(main, ["template", table])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert "is no table name" in result.stderr
    assert result.stderr.count("\n") == 1
