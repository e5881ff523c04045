"""The documents' examples are genuine: the pages are executed as a reader would."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from receipts import sample_receipts, verification
from tests.receipts import vectors

PAGE = Path(__file__).parents[2] / "docs" / "receipt-format.md"
BLOCKS = re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path):
    """A folder with the files that the page shows, and those that its program writes."""
    for _, name, content in BLOCKS:
        if name:
            (tmp_path / name).write_text(content)
    (program,) = (content for kind, _, content in BLOCKS if kind == "python")
    (tmp_path / "program.py").write_text(program)
    run = [sys.executable, "-X", "dev", "-W", "ignore::ResourceWarning", "program.py"]
    subprocess.run(run, cwd=tmp_path, check=True)
    return tmp_path


def commands():
    for kind, _, content in BLOCKS:
        if kind == "console":
            for example in content.removeprefix("$ ").split("\n$ "):
                command, _, output = example.partition("\n")
                yield pytest.param(command, output.strip(), id=command)


@pytest.mark.parametrize(("command", "output"), list(commands()))
def test_the_commands_of_the_page_print_what_it_shows(folder, command, output):
    if shutil.which(command.split()[0]) is None and command.startswith("openssl"):
        return  # not everybody has it; the page's Python program has proved the same
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, shell=True, cwd=folder, env={"PATH": path}, capture_output=True, text=True
    )
    assert (done.stdout + done.stderr).strip() == output


def test_the_program_of_the_page_refuses_a_forgery(folder):
    receipt = (folder / "receipt.json").read_text()
    (folder / "receipt.json").write_text(receipt.replace("summarizer", "translator"))
    done = subprocess.run([sys.executable, "program.py"], cwd=folder, capture_output=True)
    assert done.returncode and b"InvalidSignature" in done.stderr


def test_the_page_has_all_its_examples():
    assert [kind for kind, *_ in BLOCKS] == ["json", "text", "console", "python", "console"]
    assert len(list(commands())) == 3


def test_the_example_of_the_openapi_page_is_genuine():
    verification.verify(sample_receipts.NESTED, [vectors.KEY.public])
