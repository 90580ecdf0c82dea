"""README.md and docs/ say what is true: commands, options, fields, files; and the README's first command works."""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

import fovea
from fovea.cli import application
from fovea.commands import COMMANDS as TABLE
from fovea.errors import FoveaError
from fovea.plans.budget import WANTED_PHOTOGRAPHS
from fovea.plans.named import DEFAULT_PLAN, PLANS
from fovea.plans.rules import PHOTO_SIZE, SMALL_IMAGE, WANTED_EPOCHS, WANTED_IMAGES
from fovea.training.recipe import FIELDS, INITIALISATIONS, OPTIMISERS, Recipe
from fovea.training.schedules import SCHEDULES

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")]}
TRAINING = PAGES["docs/training.md"]
COMMANDS = get_command(application()).commands

INDENTED = re.findall(r"^    (\S.*)$", README, re.M)
TRAIN_COMMAND, TEST_COMMAND = INDENTED[:2]
INVOCATIONS = [
    (page, shlex.split(line, comments=True)[1:])
    for page, text in PAGES.items()
    for line in re.findall(r"^    (?:\$ )?(fovea .*)$", text, re.M)
]
MENTIONS = [
    (page, mention.split()[1:]) for page, text in PAGES.items() for mention in re.findall(r"`(fovea [^`]+)`", text)
]


def options_of(*commands):
    parameters = [parameter for command in commands for parameter in command.params]
    return {option for one in parameters for option in (*one.opts, *one.secondary_opts)} | {"--help"}


def test_the_readme_begins_with_setting_up_and_running_then_with_setting_up_and_testing():
    environment, install, run = TRAIN_COMMAND.split(" && ")
    assert (environment, run) == ("python3 -m venv .venv", ".venv/bin/fovea train digits")
    assert install == ".venv/bin/pip install -q -e ."
    assert TEST_COMMAND == 'python3 -m venv .venv && .venv/bin/pip install -q -e ".[test]" && scripts/check'


def test_ci_runs_the_readmes_test_command():
    script = (ROOT / ".ci" / "run").read_text()
    (extraction,) = re.findall(r"^command=\$\((.*)\)$", script, re.M)
    done = subprocess.run(["bash", "-c", extraction], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == TEST_COMMAND


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file(page):
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page])]
    local = [target for target in targets if target and not target.startswith("https://")]
    missing = [target for target in local if not (ROOT / page).parent.joinpath(target).exists()]
    assert missing == []


def test_the_readmes_table_lists_the_commands_that_exist():
    rows = [line for line in README.splitlines() if line.startswith("| `fovea ")]
    assert rows == [command.row for command in TABLE]
    assert [command.name for command in TABLE] == list(COMMANDS)


@pytest.mark.parametrize(("page", "arguments"), INVOCATIONS, ids=lambda value: " ".join(value))
def test_every_command_that_is_shown_parses(page, arguments):
    name, *rest = arguments
    COMMANDS[name].make_context(name, rest)  # raises for an unknown option, a bad value, a missing argument
    given = dict(rest[i + 1].split("=", 1) for i, word in enumerate(rest) if word == "--set")
    Recipe().replace(**Recipe().parsed(given))


@pytest.mark.parametrize(("page", "arguments"), MENTIONS, ids=lambda value: " ".join(value))
def test_every_command_that_is_mentioned_has_these_options(page, arguments):
    name, *rest = arguments
    assert {word for word in rest if word.startswith("--")} <= options_of(COMMANDS[name])


@pytest.mark.parametrize("page", PAGES)
def test_every_option_that_is_mentioned_exists(page):
    inline = " ".join(re.findall(r"`(--[^`]+)`", PAGES[page]))
    mentioned = set(re.findall(r"(?<!\S)--[a-z][a-z0-9-]*", inline))
    assert mentioned <= options_of(*COMMANDS.values())
    assert mentioned or page not in ("README.md", "docs/training.md")


def test_an_option_that_does_not_exist_would_be_found():
    with pytest.raises(Exception, match="No such option: --epoch"):
        COMMANDS["train"].make_context("train", ["digits", "--epoch", "3"])
    with pytest.raises(FoveaError, match="Unknown recipe field `rate`"):
        Recipe().parsed({"rate": "3"})


@pytest.mark.parametrize("data", DEFAULT_PLAN)
def test_the_table_of_default_plans_agrees_with_the_recipes(data):
    (row,) = re.findall(rf"^\|[^|]*`{data}`[^|]*\|.*$", TRAINING.partition("## Named recipes")[0], re.M)
    plan = PLANS[DEFAULT_PLAN[data]]
    for fact in (f"`{plan.model}`", f"{plan.size} px", f"`{DEFAULT_PLAN[data]}`", f"{plan.recipe.epochs} epochs"):
        assert fact in row
    assert plan.recipe.optimiser in row.lower()


def test_the_table_of_named_recipes_agrees_with_them():
    _, table = TRAINING.split("## Named recipes")
    rows = dict(re.findall(r"^\| `([^`]+)` \| (.*)$", table.partition("## A budget")[0], re.M))
    assert list(rows) == list(PLANS)
    epochs, model = 0, ""
    for name, row in rows.items():
        plan = PLANS[name]
        if not row.startswith("the same with "):
            epochs, model = int(re.search(r"(\d+) epochs", row)[1]), re.match(r"`(\w+)`", row)[1]
        assert (plan.recipe.epochs, plan.model) == (epochs, model), name


def test_the_page_on_training_has_the_numbers_of_the_planning():
    small, photographs = re.findall(r"^\| (?:other images|photographs).*$", TRAINING, re.M)
    assert f"{SMALL_IMAGE} px" in small
    assert f"{WANTED_EPOCHS} and as many as see {WANTED_IMAGES:,} images" in small
    assert f"{PHOTO_SIZE} px" in photographs
    seen = f"sees {WANTED_IMAGES:,} images ({WANTED_PHOTOGRAPHS:,} photographs)"
    assert f"{seen} and passes {WANTED_EPOCHS} times over the data" in TRAINING


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("optimiser", OPTIMISERS),
        ("schedule", (*SCHEDULES, "plateau")),
        ("initialisation", INITIALISATIONS),
    ],
)
def test_the_table_of_fields_lists_their_values(field, values):
    (row,) = re.findall(rf"^\| `{field}` \|.*$", TRAINING, re.M)
    assert set(values) <= set(re.findall(r"`([^`]+)`", row))


def test_the_table_of_fields_names_recipe_fields():
    table = TRAINING.partition("| field |")[2].partition("\n\n")[0]
    named = re.findall(r"`(\w+)`", " ".join(line.split("|")[1] for line in table.splitlines()[2:]))
    assert named
    assert set(named) <= set(FIELDS)


def test_every_name_in_the_python_examples_exists():
    codes = [code for text in PAGES.values() for code in re.findall(r"```python\n(.*?)```", text, re.S)]
    names = {node.attr for code in codes for node in ast.walk(ast.parse(code)) if _is_attribute_of_fovea(node)}
    assert {"train", "load"} <= names <= set(fovea.__all__)


def _is_attribute_of_fovea(node):
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "fovea"


def fresh_environment(tmp_path):
    """Return an environment without this one's virtual environment, data, cache and Python path."""
    own = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "FOVEA_DATA")
    path = os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if p != str(Path(sys.executable).parent))
    kept = {name: value for name, value in os.environ.items() if name not in own}
    return {**kept, "PATH": path, "FOVEA_CACHE": str(tmp_path / "cache")}


def copy_of_tracked_files(folder):
    """Copy what git tracks, as it is now, into `folder`."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git clone: which files belong to the project is unknown")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def skip_without_a_cpu_build_of_torch(tmp_path, environment):
    requirement = next(line for line in (ROOT / "pyproject.toml").read_text().splitlines() if '"torch>' in line)
    pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", requirement.strip(' ",')]
    planned = subprocess.run(pip, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    if planned.returncode:
        pytest.skip("pip finds no torch here: " + planned.stderr.strip().splitlines()[-1])
    if "nvidia" in planned.stdout:
        pytest.skip("pip would fetch the CUDA build of torch here, several gigabytes")


@pytest.mark.slow
def test_the_first_command_works_on_a_fresh_machine(tmp_path):
    environment = fresh_environment(tmp_path)
    skip_without_a_cpu_build_of_torch(tmp_path, environment)
    clone = tmp_path / "fovea"
    copy_of_tracked_files(clone)
    done = subprocess.run(
        ["bash", "-c", TRAIN_COMMAND], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    accuracy = re.search(r"^Result +([\d.]+) % accuracy on test, 95 % interval", done.stdout, re.M)
    assert accuracy is not None, done.stdout
    assert float(accuracy[1]) >= 97
    assert (clone / "runs" / "digits-lenet5" / "model.safetensors").exists()


@pytest.mark.slow
def test_the_readmes_python_example_runs(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "FOVEA_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4


def test_the_page_on_architecture_names_every_unit_of_the_package():
    page = PAGES["docs/architecture.md"].partition("## The path")[0]
    units = {path.stem for path in (ROOT / "fovea").glob("*.py")} | {p.parent.name for p in ROOT.glob("fovea/*/*.py")}
    assert {name for name in units - {"__init__"} if f"`{name}`" not in page} == set()
