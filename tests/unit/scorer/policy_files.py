"""A deployment's policy as a file, like the default one, with changes."""

from pathlib import Path

from training.train import DEFAULT_POLICY

STOLEN = """
[[lists]]
name = "stolen"
words = "the card is reported stolen"
entity = "card"
file = "stolen.txt"
at_least = "DECLINE"
"""


def write_policy(path: Path, *, head: str = "", tail: str = "", **replaced: str) -> Path:
    """`head` goes before everything, `tail` behind; `replaced` maps a top-level key's name to its new value."""
    text = DEFAULT_POLICY.read_text()
    for name, value in replaced.items():
        lines = [f"{name} = {value}" if line.startswith(f"{name} =") else line for line in text.splitlines()]
        assert f"{name} = {value}" in lines
        text = "\n".join(lines)
    put(path, f"{head}\n{text}\n{tail}")
    return path


def put(path: Path, text: str) -> None:
    """All at once: a scorer that looks meanwhile sees the old file or the new one."""
    aside = path.with_name(f".{path.name}.new")
    aside.write_text(text)
    aside.replace(path)
