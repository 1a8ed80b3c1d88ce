"""Make the pictures anew: C{make pictures}, which needs chromium and chromium-driver."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from time import sleep
from typing import Final

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tests.fakes.daemon import Daemon
from tests.fakes.programs import free_port
from tests.tools.pictures.scene import crowd
from tests.tools.pictures.top import draw_top

PICTURES: Final = Path(__file__).parents[3] / "docs" / "pictures"

WAIT: Final = 5.0
"""Seconds that pass in the scene, so that the times in the picture are not all zero."""


def take_page(port: int) -> bytes:
    """Return a picture of the web page, as PNG."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--window-size=1100,1180"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        browser.get(f"http://127.0.0.1:{port}/")
        sleep(WAIT)
        return browser.get_screenshot_as_png()
    finally:
        browser.quit()


def main() -> None:
    """Write the pictures into C{docs/pictures/}."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        sock, port = f"{folder}/flom.sock", free_port()
        words = ["--socket-name", sock, "--http", f"tcp:{port}:interface=127.0.0.1"]
        commands = Path(folder) / "commands"
        commands.mkdir()
        with Daemon(*words, ready="showing what is locked"), crowd(sock, commands):
            (PICTURES / "page.png").write_bytes(take_page(port))
            (PICTURES / "top.svg").write_text(draw_top(sock))


if __name__ == "__main__":
    main()
