"""README and the pages: their Python runs, files, names and links that they give are there, the README stays short."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "examples" / "README.md",
    ROOT / "configs" / "README.md",
]
# Pages for those who change the code.
MORE = [ROOT / "CONTRIBUTING.md", ROOT / "csrc/README.md", *sorted((ROOT / "tests/emulators").rglob("*.md"))]
# `path/file.py`: `name`, `name`
PLACE = re.compile(r"`([\w/.-]+/[\w.-]+)`((?:[:,]\s+`\w+`)*)")


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_python_of_a_page_runs_from_top_to_bottom(page):
    names: dict = {}
    for number, block in enumerate(blocks(page)):
        exec(compile(block, f"{page.name}, block {number + 1}", "exec"), names)


@pytest.mark.parametrize("page", [*PAGES, *MORE], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_that_are_there(page):
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_readme_is_one_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120
    assert len(text.split()) <= 900


def places(text):
    """Files and the names said to be in them."""
    return [(match[1], re.findall(r"`(\w+)`", match[2])) for match in PLACE.finditer(text)]


def stands_in(name, file):
    text = file.read_text(encoding="utf-8")
    return re.search(rf"^\s*(?:def|class) {name}\b|^{name}\b.*=|\b{name}\(", text, re.MULTILINE) is not None


def missing(text):
    """What a text names and the tree does not have, placeholders such as NAME.py left out."""
    found = []
    for path, names in places(text):
        if "NAME" in path or path.startswith("build/") or not (ROOT / path.split("/")[0]).exists():
            continue
        if not (ROOT / path).exists():
            found.append(path)
        found += [f"{path}: {name}" for name in names if (ROOT / path).is_file() and not stands_in(name, ROOT / path)]
    return found


@pytest.mark.parametrize("page", [*PAGES, *MORE], ids=lambda page: str(page.relative_to(ROOT)))
def test_files_and_names_that_a_page_gives_are_there(page):
    assert missing(page.read_text(encoding="utf-8")) == []


def test_the_walk_names_files_and_functions():
    named = places((ROOT / "docs/follow_a_query.md").read_text(encoding="utf-8"))
    assert len(named) > 20 and sum(len(names) for _, names in named) > 20


def test_a_file_or_a_name_that_is_gone_is_noticed():
    assert missing("see `seq2seq_fast/ops/gone.py` and `seq2seq_fast/ops/backends.py`: `gone`, `raw`") == [
        "seq2seq_fast/ops/gone.py", "seq2seq_fast/ops/backends.py: gone",
    ]  # fmt: skip
    assert missing("`tests/ops/test_NAME.py`, `reference/NAME.py`, `ops/gru_cell.py`") == []
