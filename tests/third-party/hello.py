"""A command in Python: prints its arguments and ends, or recurses until Python stops it."""

import sys

from wit_world import exports


def plain(depth: int) -> int:
    return plain(depth + 1)


class Nested:
    def __getattr__(self, name: str):
        # Each level passes through the interpreter's own functions in C.
        return getattr(self, name + "x")


def through_sorted(depth: int):
    return sorted([depth], key=lambda item: through_sorted(item + 1))


def recurse() -> None:
    for name, call in [
        ("plain", lambda: plain(0)),
        ("getattr", lambda: Nested().x),
        ("sorted", lambda: through_sorted(0)),
    ]:
        try:
            call()
        except RecursionError:
            print(name, "RecursionError")


class Run(exports.Run):
    def run(self) -> None:
        if sys.argv[1:] == ["recurse"]:
            recurse()
        else:
            print("hello from Python", *sys.argv[1:])
