"""A real browser for the tests: Debian's Chromium, with fonts for Chinese, installed where they are missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

PACKAGES = ("chromium", "fonts-noto-cjk")
APT = ("apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300")


def install(*packages: str) -> None:
    """Install the packages of Debian that are missing; only root can."""
    missing = [name for name in packages if subprocess.run(["dpkg", "-s", name], capture_output=True).returncode]
    if not missing:
        return
    assert os.geteuid() == 0, f"The tests need packages: as root, apt-get install {' '.join(missing)}"
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (("update",), ("install", "--no-install-recommends", *missing)):
        subprocess.run([*APT, *command], check=True, capture_output=True, env=environment)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium."""
    install(*PACKAGES)
    path = shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
