"""The page's files as the server hands them out, and that what is vendored is what it says it is."""

import hashlib
import re
import subprocess
import sys
import zipfile
from importlib.resources import files
from pathlib import Path

import httpx
import pytest
from serving import TOKEN, serving

from pointsman.sinks.page import assets, paths

FOLDER = Path(str(files("pointsman.sinks") / "page"))
ROOT = Path(__file__).parent.parent


def test_the_page_needs_no_token_and_may_talk_to_its_own_server_only() -> None:
    with serving() as client, httpx.Client(base_url=client.base_url) as stranger:
        answer = stranger.get("/")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        policy = answer.headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self' data:"} <= set(policy)
        assert (answer.headers["x-content-type-options"], answer.headers["referrer-policy"]) == ("nosniff", "no-referrer")


def test_every_file_that_the_page_names_is_there() -> None:
    named = set(re.findall(r'(?:src|href)="(/[^"#]*)"', (FOLDER / "index.html").read_text())) - {"/openapi.json"}
    for module in FOLDER.glob("*.js"):
        named |= {f"/page/{name}" for name in re.findall(r'from "\./([^"]+)"', module.read_text())}
    assert named <= paths() and {f"/page/{path.name}" for path in FOLDER.glob("*.js")} <= named


def test_a_file_that_the_browser_has_is_not_sent_again() -> None:
    with serving() as client, httpx.Client(base_url=client.base_url) as stranger:
        for path, asset in assets().items():
            first = stranger.get(path)
            assert (first.status_code, first.content, first.headers["etag"]) == (200, asset.body, asset.etag)
            again = stranger.get(path, headers={"if-none-match": f'"other", W/{asset.etag}'})
            assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["/page", "/page/", "/page/uplot/LICENSE", "/page/../serve.py", "/page/%2e%2e/page.py", "/page/index.html"])
def test_nothing_else_is_handed_out(path: str) -> None:
    with serving() as client, httpx.Client(base_url=client.base_url) as stranger:
        assert stranger.get(path).status_code == 401
        assert stranger.get(path, headers={"authorization": f"Bearer {TOKEN}"}).status_code == 404


def test_the_markup_has_no_script_and_no_style_of_its_own() -> None:
    markup = (FOLDER / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", markup)
    assert not any("innerHTML" in module.read_text() for module in FOLDER.glob("*.js"))


def test_nothing_is_loaded_from_elsewhere() -> None:
    for path in (*FOLDER.glob("*.html"), *FOLDER.glob("*.css"), *FOLDER.glob("*.js")):
        assert set(re.findall(r"https?://[^\s\"')]+", path.read_text())) <= {"http://www.w3.org/2000/svg"}


def test_the_chart_library_is_the_package_that_is_named() -> None:
    table = re.findall(r"^\| (\S+) \| \S+ \| ([0-9a-f]{64}) \|$", (FOLDER / "uplot" / "VENDORED.md").read_text(), re.MULTILINE)
    assert {name for name, _ in table} == {path.name for path in (FOLDER / "uplot").iterdir()} - {"VENDORED.md"}
    assert [hashlib.sha256((FOLDER / "uplot" / name).read_bytes()).hexdigest() for name, _ in table] == [digest for _, digest in table]


def test_the_wheel_has_the_page_with_its_licence(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = {name.removeprefix("pointsman/sinks/page/") for name in zipfile.ZipFile(wheel).namelist() if name.startswith("pointsman/sinks/page/")}
    assert names == {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file()}
