"""The documentation: its links, its commands and its table are those of the project."""

import re
import subprocess
from pathlib import Path

import pytest

from local_sagemaker.cli import _parser
from sagemaker_container.contract.table import markdown

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"))]
    + list((ROOT / "docs").glob("*.md"))
)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_CODE_BLOCK = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_LOCAL_COMMAND = re.compile(r"(?:^|[`(/])local-sagemaker ([a-z]+)", re.MULTILINE)
_COMMAND = re.compile(r"\./build\.sh ([a-z]+)")


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = _CODE_BLOCK.sub("", page.read_text())
    headings = (heading.strip().lower() for heading in _HEADING.findall(text))
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 250


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(_CODE_BLOCK.sub("", page.read_text())):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{name(page)} links to {link}"
        if anchor:
            assert anchor in anchors(target), f"{name(page)} links to {link}"


def test_every_page_and_picture_is_linked() -> None:
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in PAGES
        for link in _LINK.findall(page.read_text())
    }
    assert {path.resolve() for path in (ROOT / "docs").iterdir()} <= linked


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_of_build_sh_exist(page: Path) -> None:
    usage = subprocess.run([ROOT / "build.sh", "help"], capture_output=True, text=True, check=True)
    known = set(re.findall(r"^  ([a-z]+)\b", usage.stdout, re.MULTILINE))
    assert {"lab", "test", "check"} <= known
    assert set(_COMMAND.findall(page.read_text())) <= known


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_of_local_sagemaker_exist(page: Path) -> None:
    usage = _parser().format_help()
    known = set(re.findall(r"^    ([a-z]+)\b", usage, re.MULTILINE))
    assert {"lab", "up", "status"} <= known
    assert set(_LOCAL_COMMAND.findall(page.read_text())) <= known


def test_training_md_has_the_generated_table_of_hyperparameters() -> None:
    assert markdown() in (ROOT / "docs" / "training.md").read_text(), (
        "replace the table by the output of: python -m sagemaker_container.contract.table"
    )
