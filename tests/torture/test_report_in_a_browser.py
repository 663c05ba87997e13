"""A report in a real browser, with answers that try everything: nothing runs, nothing is loaded."""

import re
import shutil
import subprocess
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from typing_extensions import override

from app.reports.details import Details, Dispute, Said
from app.reports.page import as_page
from tests.factories.reports import make_report, make_row

CHROMIUM = shutil.which("chromium")
ATTACKS = (
    "<script>document.title='run'</script>",
    "<img src='{url}/img' onerror=\"document.title='run'\">",
    "<a href=\"javascript:document.title='run'\">x</a>",
    "<svg onload=\"document.title='run'\"><image href='{url}/svg'/></svg>",
    "![x]({url}/beacon.png)",
    "</textarea></pre></style><iframe src='{url}/frame'></iframe><link rel=stylesheet href='{url}/css'>",
    "<meta http-equiv=refresh content='0;url={url}/refresh'>",
    "\x1b]8;;{url}/ansi\x07link",
)


class Collector(BaseHTTPRequestHandler):
    """Notes who asks for anything."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(204)
        self.end_headers()

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")
def test_e2_e3_in_a_browser_nothing_of_an_answer_runs_or_is_loaded(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        page = tmp_path / "report.html"
        page.write_text(hostile_page(url))
        dom = rendered(page, tmp_path)
        # The collector does hear of a page that loads something.
        (tmp_path / "control.html").write_text(f"<img src='{url}/control'>")
        rendered(tmp_path / "control.html", tmp_path)
    finally:
        server.shutdown()
        server.server_close()
    assert Collector.asked == ["/control"]
    assert "<title>nightly</title>" in dom
    for element in ("<script", "<iframe", "<link", "<a ", "<svg"):
        assert element not in dom


@pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")
@pytest.mark.parametrize("width", [390, 1280], ids=["phone", "desktop"])
def test_the_page_follows_the_reader_s_light_and_dark(tmp_path: Path, width: int) -> None:
    page = tmp_path / "report.html"
    page.write_text(as_page(make_report(), Details()))
    backgrounds = {}
    for name, scheme in (("dark", 0), ("light", 1)):
        image = tmp_path / f"{name}.png"
        shown(
            page, tmp_path, f"--blink-settings=preferredColorScheme={scheme}",
            f"--window-size={width},900", f"--screenshot={image}",
        )  # fmt: skip
        backgrounds[name] = corner_of(image)
    assert max(backgrounds["dark"]) < 0x40
    assert min(backgrounds["light"]) > 0xF0


@pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")
def test_the_page_prints(tmp_path: Path) -> None:
    page, printed = tmp_path / "report.html", tmp_path / "report.pdf"
    page.write_text(as_page(make_report(), Details()))
    shown(page, tmp_path, f"--print-to-pdf={printed}")
    assert printed.read_bytes().startswith(b"%PDF-")
    assert len(re.findall(rb"/Type\s*/Page\b", printed.read_bytes())) in range(1, 5)


def corner_of(image: Path) -> bytes:
    """The red, green and blue of an image's first pixel, which no filter of PNG changes."""
    data = image.read_bytes()
    assert data.startswith(b"\x89PNG")
    packed, place = b"", 8
    while place < len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        if data[place + 4 : place + 8] == b"IDAT":
            packed += data[place + 8 : place + 8 + size]
        place += size + 12
    return zlib.decompress(packed)[1:4]


def hostile_page(url: str) -> str:
    """A page with every attack wherever a client's or a model's words are shown."""
    words = [attack.replace("{url}", url) for attack in ATTACKS]
    rows = [make_row(one, place, 9.0 - place) for place, one in enumerate(words, 1)]
    disputes = [
        Dispute(
            custom_id=one,
            spread="1.00",
            prompt=one,
            overall=one,
            answers=[Said(one, one, "1.00", one)],
        )
        for one in words
    ]
    return as_page(make_report(*rows, notes=words), Details(disputes))


def rendered(page: Path, folder: Path) -> str:
    """What a browser makes of a page."""
    return shown(page, folder, "--dump-dom", "--virtual-time-budget=3000")


def shown(page: Path, folder: Path, *options: str) -> str:
    """Show a page in a browser without a screen; what it says."""
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", *options]
    place = [f"--user-data-dir={folder / 'profile'}", page.as_uri()]
    return subprocess.run(
        [*command, *place], capture_output=True, text=True, timeout=100, check=True
    ).stdout
