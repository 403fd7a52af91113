"""What the documents name is there: files, links, commands, options, make targets, benchmarks, public names."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest
import typer

import voxtral_kernels as vk
from bench.__main__ import SUITES
from voxtral_kernels.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / n for n in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md")]
DOCUMENTS += sorted((ROOT / "docs").glob("*.md"))
COMMANDS = typer.main.get_command(app).commands
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^ {4}.*\n)+", re.MULTILINE)
PLACES = ["bench", "csrc", "docs", "examples", "kernels", "python", "tests"]

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))


def code(document):
    """Everything that is set as code: blocks, indented blocks, and spans in backticks."""
    text = document.read_text()
    rest = FENCE.sub("", text)
    return [block for _, block in FENCE.findall(text)] + INDENTED.findall(rest) + re.findall(r"`([^`\n]+)`", rest)


def named(pattern, document):
    """What the pattern's group finds in the document's code."""
    return {found for part in code(document) for found in re.findall(pattern, part, re.MULTILINE)}


@each_document
def test_links_lead_somewhere(document):
    links = re.findall(r"\]\(([^)#\s]+)", FENCE.sub("", document.read_text()))
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert not missing


@each_document
def test_files_are_there(document):
    paths = named(rf"(?<![\w./-])((?:{'|'.join(PLACES)})/[\w<>*./-]*)", document)
    missing = [p for p in paths if not list(ROOT.glob(p.replace("<op>", "ada_rms_norm").rstrip("./")))]
    assert not missing


def test_the_map_names_what_is_there_in_under_ten_lines():
    text = (ROOT / "CONTRIBUTING.md").read_text().partition("## The map\n")[2].partition("\n## ")[0]
    package = ROOT / "python" / "voxtral_kernels"
    bases = (ROOT, package, package / "models" / "voxtral_realtime", ROOT / "bench")
    paths = set(re.findall(r"`([\w/<>]+(?:/|\.\w+))`", text))
    assert len(paths) > 30
    assert not [p for p in paths if not any((base / p.replace("<op>", "ada_rms_norm")).exists() for base in bases)]
    lists = re.findall(r"(?:^(?:\d\.| {3}) ?.*\n)+", text, re.MULTILINE)
    assert [part.count("\n") < 10 for part in lists] == [True, True], "the path of a call, the path of the data"


@each_document
def test_commands_and_their_options_are_there(document):
    lines = named(r"(?:^|[^\w-])voxtral-kernels ([a-z][^\n#`]*(?:\n {20,}\S.*)*)", document)
    for line in lines:
        name = line.split()[0]
        assert name in COMMANDS, line
        if COMMANDS[name].params:
            known = {option for parameter in COMMANDS[name].params for option in parameter.opts} | {"--help"}
            assert set(re.findall(r"(?<=[\s\[])--?[a-z][\w-]*", line)) <= known, line


@each_document
def test_make_targets_are_there(document):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named(r"(?:^|\s)make ([a-z][a-z-]*)", document) <= targets


@each_document
def test_benchmarks_are_there(document):
    suites = named(r"(?:python -m bench|voxtral-kernels bench|^bench) ([a-z][a-z-]*)", document)
    assert suites <= set(SUITES)


@each_document
def test_modules_are_there(document):
    modules = named(r"python -m (voxtral_kernels[\w.]*)", document)
    assert all(importlib.util.find_spec(module) for module in modules)


@each_document
def test_public_names_are_there(document):
    names = named(r"\bvk\.([a-zA-Z]\w*)", document)
    assert names <= {*vk.__all__, *vars(vk)}


@each_document
def test_python_is_well_formed(document):
    for language, block in FENCE.findall(document.read_text()):
        if language == "python":
            ast.parse(block)


def test_every_command_and_every_benchmark_is_described():
    cli, benchmarks = ((ROOT / "docs" / name).read_text() for name in ("cli.md", "benchmarks.md"))
    assert set(re.findall(r"^## ([a-z]+)$", cli, re.MULTILINE)) == set(COMMANDS)
    assert set(re.findall(r"^\| `([a-z-]+)` \|", benchmarks, re.MULTILINE)) == set(SUITES)


def test_the_readme_has_the_table_of_the_performance_page():
    tables = [
        re.search(r"<!-- real time -->\n([\s\S]+?)<!-- end of real time -->", (ROOT / name).read_text())[1]
        for name in ("README.md", "docs/performance.md")
    ]
    assert tables[0] == tables[1]
