"""Command lines on which a value may start with a dash, as one YouTube id in 64 does.

argparse takes such a word for a flag. All flags of this kit but -h have two dashes, and each knows
how many values it takes, so that what is a value can be told.
"""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any


class Parser(argparse.ArgumentParser):
    """Ties a value that starts with a dash to its flag: `--video -Qe` becomes `--video=-Qe`."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As in argparse."""
        return super().parse_known_args(None if args is None else list(self._tied(args)), namespace)

    def _tied(self, words: Sequence[str]) -> Iterator[str]:
        flag, waiting = "", False  # the last flag; whether it waits for its first value
        for word in words:
            if self._is_flag(word):
                if waiting:
                    yield flag  # without a value: argparse says so
                flag, waiting = word, self._takes_values(word)
                if not waiting:
                    yield word
            elif waiting or self._takes_more(flag):
                yield from (
                    [f"{flag}={word}"] if word.startswith("-") or not waiting else [flag, word]
                )
                waiting = False
            else:
                yield word
        if waiting:
            yield flag

    def _is_flag(self, word: str) -> bool:
        """Whether a word is a flag of this command, abbreviated or with its value."""
        known = self._option_string_actions
        if word in known or not word.startswith("--"):
            return word in known
        name = word.partition("=")[0]
        return name in known or (len(name) > 3 and any(f.startswith(name) for f in known))

    def _takes_values(self, flag: str) -> bool:
        action = self._option_string_actions.get(flag)
        return action is not None and (action.nargs is None or self._takes_more(flag))

    def _takes_more(self, flag: str) -> bool:
        """Whether any number of values follows it, which may come one by one as well."""
        action = self._option_string_actions.get(flag)
        return isinstance(action, argparse._ExtendAction) and action.nargs == "+"
