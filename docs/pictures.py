"""The README's pictures: `python -m docs.pictures` runs the demo and its report, and writes `docs/pictures/`.

`judged.svg` is what `rprm-jobs demo` prints, and `report.png` a screenshot of the report's first screens, for which
chromium must be installed. Both commands run on servers of their own, in a temporary folder.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
HERE = ROOT / "docs" / "pictures"
_COLUMNS = 100
_SHOWN_ROWS = 9
_SCREEN = (1180, 1500)
_COLORS = 256


def main() -> None:
    """Write both pictures."""
    HERE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "RPRM_HOME": f"{folder}/home", "COLUMNS": str(_COLUMNS), "FORCE_COLOR": "1"}
        try:
            # The demo finds this job, which names its file as a user would.
            job = _rprm_jobs(environment, "submit", "examples/solutions.jsonl", "-k", "4", "--wait").strip()
            draw_terminal(_rprm_jobs(environment, "demo"))
            _rprm_jobs(environment, "report", job, "-o", f"{folder}/report.html")
            photograph(Path(folder) / "report.html")
        finally:
            _rprm_jobs(environment, "services", "down")


def _rprm_jobs(environment: dict[str, str], *arguments: str) -> str:
    """What a command prints on standard output. Raises CalledProcessError when it fails."""
    command = [str(Path(sys.executable).with_name("rprm-jobs")), *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout


def draw_terminal(printed: str) -> None:
    """The demo's output as an SVG, with the first rows of its table."""
    lines = printed.rstrip().splitlines()
    table_end = next(number for number, line in enumerate(lines) if line.startswith("╭"))
    shown = [*lines[: 1 + _SHOWN_ROWS], "  ...", *lines[table_end:]]
    console = Console(record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi("\n".join(shown)))
    drawn = console.export_svg(title="rprm-jobs demo")
    # Rich names fonts of another site; a reader's own monospaced one does.
    (HERE / "judged.svg").write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL), encoding="utf-8")


def photograph(page: Path) -> None:
    """A page's first screens as a PNG of few colours, so that the file stays small."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("chromium is needed for the report's picture; on Debian: apt-get install chromium")
    target = HERE / "report.png"
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={_SCREEN[0]},{_SCREEN[1]}"]
    subprocess.run([browser, *options, f"--screenshot={target}", page.as_uri()], check=True, capture_output=True)
    with Image.open(target) as picture:
        picture.convert("RGB").quantize(_COLORS).save(target, optimize=True)


if __name__ == "__main__":
    main()
