"""How the tests look at a page: a real headless Chromium runs a script in it and tells what it saw."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NO_BROWSER = "no chromium, chromium-browser or google-chrome is installed"
HARNESS = """
<script>
window.seen = {errors: []};
addEventListener("error", event => seen.errors.push(String(event.message)));
addEventListener("unhandledrejection", event => seen.errors.push(String(event.reason)));
addEventListener("securitypolicyviolation", event => seen.errors.push("refused to load " + event.blockedURI));
for (const kind of ["error", "warn"]) console[kind] = (...words) => seen.errors.push(words.join(" "));
const drawn = () => new Promise(resolve => setTimeout(resolve, 50));
async function until(test) {
  for (let i = 0; i < 200 && !test(); i++) await drawn();
  if (!test()) throw Error("waited in vain for " + test);
}
function pointer(target, kind, x, y) {
  const more = {bubbles: true, cancelable: true, view: window, clientX: x, clientY: y, buttons: 1};
  target.dispatchEvent(new MouseEvent(kind, more));
}
</script>
"""
LAST = """
<script>
(async () => {
  try {
    await until(() => document.documentElement.dataset.ready);
    %s
  } catch (error) { seen.errors.push(String(error)); }
  const out = document.createElement("pre");
  out.id = "seen";
  out.textContent = JSON.stringify(seen);
  document.body.append(out);
})();
</script>
"""


def look(page: Path, script: str, folder: Path, dark: bool = False) -> dict[str, Any]:
    """Run a script in a page once its figures are drawn, and give what it put into ``seen``.

    ``seen.errors`` holds every error and warning of the page.
    """
    if CHROMIUM is None:
        pytest.skip(NO_BROWSER)
    text = page.read_text(encoding="utf-8")
    instrumented = folder / "instrumented.html"
    first = text.replace("<head>", "<head>" + HARNESS, 1)
    instrumented.write_text(first.replace("</body>", LAST % script + "</body>"), encoding="utf-8")
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader", "--dump-dom"]
    command += [f"--user-data-dir={folder / 'profile'}", "--window-size=1280,1600", "--virtual-time-budget=30000"]
    command += ["--blink-settings=preferredColorScheme=0"] if dark else []
    done = subprocess.run([*command, instrumented.as_uri()], capture_output=True, text=True, timeout=600)
    found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    return dict(json.loads(html.unescape(found[1])))
