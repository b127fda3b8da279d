"""A parser of DynamoDB's condition, key condition, update and projection expressions.

Texts are parsed once and kept: this package's placeholders make the same text of the same kind of request.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, NamedTuple

_TOKEN: Final = re.compile(r"\s*(<>|<=|>=|[=<>(),.\[\]+-]|[#:]?\w+)", re.ASCII)
_COMPARATORS: Final = frozenset({"=", "<>", "<", "<=", ">", ">="})
_FUNCTIONS: Final = {
    "attribute_exists": 1,
    "attribute_not_exists": 1,
    "attribute_type": 2,
    "begins_with": 2,
    "contains": 2,
}
_CLAUSES: Final = ("SET", "REMOVE", "ADD", "DELETE")


class ExpressionError(Exception):
    """The text is no expression."""


class Path(NamedTuple):
    """Where a value is: names or their placeholders, and numbers of list elements."""

    steps: tuple[str | int, ...]


class Value(NamedTuple):
    """A placeholder of a value."""

    name: str


class Call(NamedTuple):
    """A function and its operands."""

    name: str
    operands: tuple[Any, ...]


class Compare(NamedTuple):
    """Two operands and what is asked of them."""

    operator: str
    left: Any
    right: Any


class Between(NamedTuple):
    """An operand and its bounds."""

    operand: Any
    low: Any
    high: Any


class Among(NamedTuple):
    """An operand and what it may be equal to."""

    operand: Any
    choices: tuple[Any, ...]


class And(NamedTuple):
    """Both must hold."""

    left: Any
    right: Any


class Or(NamedTuple):
    """One must hold."""

    left: Any
    right: Any


class Not(NamedTuple):
    """It must not hold."""

    inner: Any


class Sum(NamedTuple):
    """Two numbers added or subtracted."""

    operator: str
    left: Any
    right: Any


class Action(NamedTuple):
    """One thing an update does; a removal has no operand."""

    clause: str
    path: Path
    operand: Any


@lru_cache(maxsize=4096)
def parse_condition(text: str) -> Any:
    """Return the tree of a condition."""
    parser = _Parser(text)
    tree = parser.condition()
    parser.end()
    return tree


@lru_cache(maxsize=4096)
def parse_update(text: str) -> tuple[Action, ...]:
    """Return the actions of an update."""
    parser = _Parser(text)
    actions = parser.actions()
    parser.end()
    return actions


@lru_cache(maxsize=4096)
def parse_projection(text: str) -> tuple[Path, ...]:
    """Return the paths of a projection."""
    parser = _Parser(text)
    paths = parser.listed(parser.path)
    parser.end()
    return paths


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0

    def end(self) -> None:
        if self._peek() is not None:
            raise ExpressionError(f"unexpected {self._peek()}")

    def condition(self) -> Any:
        left = self._conjunction()
        while self._takes("OR"):
            left = Or(left, self._conjunction())
        return left

    def actions(self) -> tuple[Action, ...]:
        actions: list[Action] = []
        seen: set[str] = set()
        while (token := self._peek()) is not None:
            clause = token.upper()
            if clause not in _CLAUSES or clause in seen:
                raise ExpressionError(f"unexpected {token}")
            seen.add(clause)
            self._at += 1
            actions += self.listed(lambda clause=clause: self._action(clause))
        return tuple(actions)

    def listed(self, one: Any) -> tuple[Any, ...]:
        found = [one()]
        while self._takes(","):
            found.append(one())
        return tuple(found)

    def path(self) -> Path:
        steps: list[str | int] = [self._word()]
        while True:
            if self._takes("."):
                steps.append(self._word())
            elif self._takes("["):
                steps.append(int(self._word()))
                self._expect("]")
            else:
                return Path(tuple(steps))

    def _conjunction(self) -> Any:
        left = self._negation()
        while self._takes("AND"):
            left = And(left, self._negation())
        return left

    def _negation(self) -> Any:
        if self._takes("NOT"):
            return Not(self._negation())
        if self._takes("("):
            tree = self.condition()
            self._expect(")")
            return tree
        return self._predicate()

    def _predicate(self) -> Any:
        token = self._peek()
        if token in _FUNCTIONS:
            return self._call(token, _FUNCTIONS[token])
        left = self._operand()
        if self._takes("BETWEEN"):
            low = self._operand()
            self._expect("AND")
            return Between(left, low, self._operand())
        if self._takes("IN"):
            self._expect("(")
            choices = self.listed(self._operand)
            self._expect(")")
            return Among(left, choices)
        operator = self._next()
        if operator not in _COMPARATORS:
            raise ExpressionError(f"unexpected {operator}")
        return Compare(operator, left, self._operand())

    def _operand(self) -> Any:
        word = self._peek()
        if word == "size":
            return self._call("size", 1)
        if word is not None and word.startswith(":"):
            return Value(self._next())
        return self.path()

    def _action(self, clause: str) -> Action:
        path = self.path()
        if clause == "REMOVE":
            return Action(clause, path, None)
        if clause == "SET":
            self._expect("=")
            return Action(clause, path, self._sum())
        return Action(clause, path, self._operand())

    def _sum(self) -> Any:
        left = self._term()
        for operator in "+-":
            if self._takes(operator):
                return Sum(operator, left, self._term())
        return left

    def _term(self) -> Any:
        token = self._peek()
        if token in ("if_not_exists", "list_append"):
            self._at += 1
            self._expect("(")
            operands = self.listed(self._term)
            self._expect(")")
            if len(operands) != 2:
                raise ExpressionError(f"{token} takes two operands")
            return Call(str(token), operands)
        return self._operand()

    def _call(self, name: str, count: int) -> Call:
        self._at += 1
        self._expect("(")
        operands = self.listed(self._operand)
        self._expect(")")
        if len(operands) != count:
            raise ExpressionError(f"{name} takes {count} operands")
        return Call(name, operands)

    def _peek(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> str:
        token = self._peek()
        if token is None:
            raise ExpressionError("unexpected end")
        self._at += 1
        return token

    def _word(self) -> str:
        word = self._next()
        if word in _COMPARATORS or word in "(),.[]+-":
            raise ExpressionError(f"unexpected {word}")
        return word

    def _takes(self, word: str) -> bool:
        token = self._peek()
        if token is None or token.upper() != word:
            return False
        self._at += 1
        return True

    def _expect(self, word: str) -> None:
        if not self._takes(word):
            raise ExpressionError(f"expected {word}, found {self._peek()}")


def _tokens(text: str) -> list[str]:
    tokens, at, text = [], 0, text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ExpressionError(f"unexpected {text[at]}")
        tokens.append(match[1])
        at = match.end()
    return tokens
