"""The site builds without a warning, holds together, and needs nothing from elsewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import bharsdk

from .site_pages import ROOT, built_pages, prose, sources

FIGURE = re.compile(r"\d\s?%|\b\d[\d.,]*\s?(?:ms|MB|GB)\b|\btimes as fast\b")
"""What somebody measured, and may measure again."""


def test_the_site_builds_strictly_without_network(site: Path) -> None:
    """A warning of the build is an error, and so is a connection."""
    assert (site / "index.html").exists()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="MkDocs Material needs Python 3.11")
@pytest.mark.parametrize(
    ("text", "code"), [("[a](#page)", 0), ("[a](gone.md)", 1), ("[a](#gone)", 1), ("[a](/b)", 1)]
)
def test_make_docs_ends_with_an_error_at_a_broken_link(
    tmp_path: Path, text: str, code: int
) -> None:
    """With the settings of the site and the command of the Makefile, on a page of its own."""
    command = re.search(r"-m (mkdocs build.*)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert command is not None
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "index.md").write_text(f"# Page\n\n{text}\n", encoding="utf-8")
    config = {
        "INHERIT": str(ROOT / "mkdocs.yml"),
        "docs_dir": "pages",
        "site_dir": "site",
        "nav": ["index.md"],
        "hooks": [],
        "plugins": [],
        "extra_css": [],
    }
    # JSON is YAML.
    (tmp_path / "mkdocs.yml").write_text(json.dumps(config), encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-m", *command[1].split()],
        cwd=tmp_path,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == code, result.stdout + result.stderr


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    """Scripts, styles, fonts and pictures come with the site; no diagram needs a script."""
    for page in built_pages(site):
        outside = [x for x in page.loaded if urlsplit(x).netloc or x.startswith("//")]
        assert not outside, page.path
        assert "mermaid" not in page.classes, page.path
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        assert not re.search(r"url\(\s*['\"]?(?:https?:)?//", text), style
        assert "@import" not in text, style


def test_every_link_leads_somewhere(site: Path) -> None:
    """Files and anchors inside the site exist; a link out of it has a scheme and a host."""
    pages = {page.path.resolve(): page for page in built_pages(site)}
    checked = 0
    for page in pages.values():
        if page.path.name == "404.html":
            continue  # its links are those of a server's root
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                assert parts.scheme == "https", (page.path, link)
                assert "." in parts.netloc, (page.path, link)
                continue
            path = page.path.parent / unquote(parts.path) if parts.path else page.path
            path = path.resolve()
            assert path.exists() or (path / "index.html").exists(), (page.path, link)
            if parts.fragment and path in pages:
                ids = pages[path].ids | {"__top"}
                assert unquote(parts.fragment) in ids, (page.path, link)
            checked += 1
    assert checked > 500


def test_the_search_index_holds_every_page(site: Path) -> None:
    """It is a file of the site, so that search needs no service."""
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    found = {entry["location"].split("#")[0] for entry in index["docs"]}
    built = {page.path.relative_to(site).as_posix() for page in built_pages(site)}
    assert built - {"404.html"} <= found


def test_the_python_reference_has_every_public_name_and_no_other(site: Path) -> None:
    """What ``bharsdk.__all__`` names, on some page of the site."""
    ids = {name for page in built_pages(site) for name in page.ids}
    found = {name for name in ids if re.fullmatch(r"bharsdk\.[A-Za-z_]+", name)}
    assert found == {f"bharsdk.{name}" for name in bharsdk.__all__}


def test_no_page_types_a_measured_figure_by_hand() -> None:
    """Percent, times and sizes that were measured come from the recorded results."""
    for path in sources():
        found = FIGURE.findall(prose(path.read_text(encoding="utf-8")))
        assert not found, (path, found)


def test_no_page_has_a_mark_that_was_not_filled(site: Path) -> None:
    """``<!-- insert: ... -->`` became what it stands for."""
    for page in built_pages(site):
        assert "insert:" not in page.path.read_text(encoding="utf-8"), page.path
