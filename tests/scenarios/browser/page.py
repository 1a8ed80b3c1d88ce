"""The page as a visitor sees it."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from selenium.webdriver import Chrome
from selenium.webdriver.support.ui import Select, WebDriverWait

PATIENCE = 20.0  # seconds until something that does not appear fails the test


class Page:
    """What a browser shows."""

    def __init__(self, browser: Chrome) -> None:
        self._browser = browser

    def open(self, port: int, fragment: str = "") -> None:
        """Go to the daemon's page, and mark it, so that a reload would be seen."""
        self._browser.get(f"http://127.0.0.1:{port}/{fragment}")
        self.run("window.mark = 'not reloaded'")
        self.wait_until("document.querySelector('#tiles').children.length > 0")

    @property
    def is_reloaded(self) -> bool:
        return bool(self.run("return window.mark !== 'not reloaded'"))

    def run(self, script: str, *arguments: Any) -> Any:
        """Run C{script} in the page."""
        return self._browser.execute_script(script, *arguments)

    def wait_until(self, condition: str, *arguments: Any) -> None:
        """Wait until an expression in JavaScript is true."""
        wait = WebDriverWait(self._browser, PATIENCE, 0.05)
        wait.until(lambda _: self.run(f"return Boolean({condition})", *arguments), condition)

    def names(self) -> list[str]:
        """Return the names of the resources shown, in order."""
        found: list[str] = self.run("return [...document.querySelectorAll('.card h3')].map((one) => one.textContent)")
        return found

    def holders(self, resource: str) -> list[str]:
        """Return the holders of C{resource} that the page names."""
        return self._locks(resource, "holders")

    def waiters(self, resource: str) -> list[str]:
        """Return the waiters for C{resource} that the page names."""
        return self._locks(resource, "waiters")

    def _locks(self, resource: str, kind: str) -> list[str]:
        script = """
        const [name, kind] = arguments;
        const card = [...document.querySelectorAll('.card')].find((one) => one.firstChild.textContent === name);
        if (!card) return [];
        return [...card.querySelectorAll(`.${kind} li`)].map((one) => one.querySelector('.who').textContent);
        """
        found: list[str] = self.run(script, resource, kind)
        return found

    def wait_for(self, resource: str, holders: int, waiters: int) -> None:
        """Wait until so many are shown."""
        wait = WebDriverWait(self._browser, PATIENCE, 0.05)
        shown = f"{resource}: {holders} holders, {waiters} waiters"
        wait.until(lambda _: (len(self.holders(resource)), len(self.waiters(resource))) == (holders, waiters), shown)

    def wait_for_absence(self, resource: str) -> None:
        """Wait until C{resource} is not shown."""
        WebDriverWait(self._browser, PATIENCE, 0.05).until(lambda _: resource not in self.names(), f"no {resource}")

    def drawn(self, resource: str) -> dict[str, list[str]] | None:
        """Return the holders and waiters drawn for C{resource}, and the lines; C{None} if nothing is drawn."""
        script = """
        const [name] = arguments;
        const graph = [...document.querySelectorAll('.graph')].find((one) => one.firstChild.textContent === name);
        if (!graph) return null;
        const texts = (selector) => [...graph.querySelectorAll(selector)].map((one) => one.textContent);
        return {
          holders: texts('.holder text:not(.for)'),
          waiters: texts('.waiter text:not(.for)'),
          lines: [...graph.querySelectorAll('.blocks, .behind')].map((one) => one.getAttribute('class')),
        };
        """
        found: dict[str, list[str]] | None = self.run(script, resource)
        return found

    def texts(self, selector: str) -> list[str]:
        """Return the texts of all nodes that C{selector} matches and that are shown."""
        script = "return [...document.querySelectorAll(arguments[0])].filter((one) => one.checkVisibility())"
        found: list[str] = self.run(f"{script}.map((one) => one.textContent.trim())", selector)
        return found

    def click(self, selector: str) -> None:
        """Click on the first node that C{selector} matches."""
        self._browser.find_element("css selector", selector).click()

    def sort_by(self, name: str) -> None:
        """Choose an order by the text that is shown for it."""
        Select(self._browser.find_element("id", "order")).select_by_visible_text(name)

    def barriers(self) -> list[str]:
        """Return what axe-core finds that keeps people from reading or using what is shown now."""
        self._browser.execute_cdp_cmd("Page.setBypassCSP", {"enabled": True})  # axe loads no page of its own
        axe = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
        self.run(f"if (!window.axe) {{ {axe} }}")
        script = "const done = arguments[0]; axe.run().then(({ violations }) => done(violations))"
        found = self._browser.execute_async_script(script)
        return [f"{one['id']}: {one['help']}: {node['html']}" for one in found for node in one["nodes"]]

    def complaints(self) -> list[str]:
        """Return what the browser has logged since the last call."""
        return [entry["message"] for entry in self._browser.get_log("browser")]

    def filter(self, text: str) -> None:
        """Type C{text} into the filter."""
        box = self._browser.find_element("id", "filter")
        box.clear()
        box.send_keys(text)

    def resize(self, width: int, height: int, *, mobile: bool = False) -> None:
        """Be a screen of this size."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self._browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def prefer(self, scheme: str) -> None:
        """Prefer the scheme C{light} or C{dark}."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
