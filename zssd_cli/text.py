"""Text from others (file names, attributes, answers of servers) before it reaches a terminal, an output or a picture."""

import re

_SECRET = re.compile(r"(?<=://)([^/\s:@]*):[^/\s]*@")
"""Name and password before the host of a URL."""
LONGEST = 20_000
"""Characters of an attribute of the input that are handed on."""


def plain(text: object, *, lines: bool = False) -> str:
    """Text without control characters, escape sequences, marks of direction and halves of characters.

    Parameters
    ----------
    text
        Anything, as it prints.
    lines
        Line breaks stay; else they are spaces.
    """
    return "".join(
        letter
        if letter.isprintable() or (lines and letter == "\n")
        else " "
        if letter.isspace() and letter not in "\x1c\x1d\x1e\x1f"
        else "?"
        for letter in str(text)
    )


def masked(text: object) -> str:
    """Text in which no URL shows its password."""
    return _SECRET.sub(r"\1:***@", str(text))


def shortened(text: str, longest: int = LONGEST) -> str:
    """The beginning of a long text, where what was done last stands, and how much was cut."""
    return text if len(text) <= longest else f"{text[:longest]} ... ({len(text) - longest} more characters)"


def plural(count: int, noun: str) -> str:
    """``1 time``, ``2 times``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
