"""Damage: of bytes at random places, of texts by words that parsers stumble over."""

import random
import re
from pathlib import Path

WORDS = (
    ".nan", ".inf", "-.inf", "nan", "inf", "-1", "0", "1e400", "1e-400", "1e308", "-1e308", "9" * 40, "0x10", "1_000", "1:30", "[]", "{}",
    "null", "~", "true", "''", "'x'", "[1, [2]]", "{a: 1}", "&a [*a]", "*b", "!!binary aGk=", "!!python/name:os.system", "2020-01-01",
    "\x00", "\x1b[31m", "\u202e", "%", "|", ">", "- - -", "---", "? ", "1 m", "3 ft", "1e9 km", "5 potato", "west", "msl", "," * 50,
    "(" * 3000, "[" * 3000, "\ud7ff", "\ufeff", "\"", "'", "x" * 5000, "-0.0", "+5", "0.0000000001", "99999999",
)  # fmt: skip
_TOKEN = re.compile(r"[^\s,:\[\]{}]+")


def damaged(data: bytes, rng: random.Random, *, head: int = 0) -> bytes:
    """Bytes with one to eight changes; half of them fall into the first ``head`` bytes where that is given."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        if not changed:
            break
        near = head and rng.random() < 0.5
        at = rng.randrange(min(head, len(changed)) if near else len(changed))
        size = rng.choice((1, 1, 2, 4, 8, 64))
        match rng.randrange(8):
            case 0:
                changed[at] ^= 1 << rng.randrange(8)
            case 1:
                changed[at : at + size] = rng.randbytes(len(changed[at : at + size]))
            case 2:
                changed[at : at + size] = b"\xff" * len(changed[at : at + size])
            case 3:
                changed[at : at + size] = bytes(len(changed[at : at + size]))
            case 4:
                del changed[at : at + size]
            case 5:
                changed[at:at] = rng.randbytes(size)
            case 6:
                other = rng.randrange(len(changed))
                changed[at : at + size] = changed[other : other + size]
            case _:
                if rng.random() < 0.3:
                    del changed[at:]
    return bytes(changed)


def reworded(text: str, rng: random.Random) -> str:
    """A text of settings or numbers in which one to four tokens, lines or characters are others."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        tokens, lines = list(_TOKEN.finditer(text)), text.split("\n")
        match rng.randrange(5):
            case 0 | 1 if tokens:
                token = rng.choice(tokens)
                text = text[: token.start()] + rng.choice(WORDS) + text[token.end() :]
            case 2 if tokens:
                one, other = rng.choice(tokens), rng.choice(tokens)
                text = text[: one.start()] + other[0] + text[one.end() :]
            case 3:
                at = rng.randrange(len(lines))
                lines[at : at + rng.randrange(2)] = [rng.choice(lines)] * rng.randrange(3)
                text = "\n".join(lines)
            case _:
                at = rng.randrange(len(text) + 1)
                text = text[:at] + rng.choice((*WORDS, *"\t :-#&*!|>%@`{}[],?'\"")) + text[at + rng.randrange(3) :]
    return text


def write_damaged_text(path: Path, text: str, rng: random.Random) -> None:
    """The text with other words, or with other bytes."""
    if rng.random() < 0.7:
        path.write_bytes(reworded(text, rng).encode("utf-8", "surrogatepass"))
    else:
        path.write_bytes(damaged(text.encode(), rng))
