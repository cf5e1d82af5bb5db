"""Text of others on a terminal: characters that steer it are shown, not obeyed."""

import re

# Control characters but tab and line feed, and those that turn the direction of writing.
STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    r"""Write what would steer a terminal as `\x1b`: names of files and classes come from anywhere."""
    return STEERING.sub(lambda found: ascii(found[0])[1:-1], text)


def visible_json(text: str) -> str:
    r"""Write the same in a JSON text as `\u009b`, which is the same value."""
    return STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
