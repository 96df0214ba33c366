"""Debian's Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser with its pop-up blocker on. Skips without one, and fails in CI.

    It occupies the thread's event loop as long as it is open.
    """
    path = shutil.which("chromium")
    if path is None:
        message = "no chromium here: infra/setup/install_browser.sh installs it, as root"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=FLAGS, ignore_default_args=["--disable-popup-blocking"]
        )
        try:
            yield browser
        finally:
            browser.close()
