"""The commit that a result names, in a repository made for it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from running import ROOT

from src.tracking import provenance


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.example")
    return subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def project(tmp_path):
    """The module that looks at its own repository, alone in one."""
    (tmp_path / "src" / "tracking").mkdir(parents=True)
    (tmp_path / "conf").mkdir()
    for folder in ("src", "src/tracking"):
        (tmp_path / folder / "__init__.py").touch()
    (tmp_path / "conf" / "config.yaml").write_text("seed: 0\n")
    (tmp_path / "README.md").write_text("what it is\n")
    shutil.copy(Path(provenance.__file__), tmp_path / "src" / "tracking" / "provenance.py")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    return tmp_path


def commit_tag(project: Path) -> str:
    program = "from src.tracking.provenance import code_tags; print(code_tags()['git_commit'])"
    done = subprocess.run(
        [sys.executable, "-B", "-c", program], cwd=project, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_result_names_its_commit(project):
    first = git(project, "rev-parse", "HEAD").strip()
    assert commit_tag(project) == first
    (project / "README.md").write_text("another\n")
    git(project, "commit", "--quiet", "--all", "-m", "second")
    assert commit_tag(project) == git(project, "rev-parse", "HEAD").strip() != first


@pytest.mark.parametrize("path", ["src/tracking/provenance.py", "conf/config.yaml"])
def test_changes_that_are_not_committed_are_tagged(project, path):
    commit = git(project, "rev-parse", "HEAD").strip()
    with (project / path).open("a") as file:
        file.write("# changed\n")
    assert commit_tag(project) == f"{commit}+changes"
    git(project, "add", ".")
    assert commit_tag(project) == f"{commit}+changes", "staged is not committed"


def test_a_changed_text_changes_no_result(project):
    (project / "README.md").write_text("another\n")
    assert commit_tag(project) == git(project, "rev-parse", "HEAD").strip()


def test_without_a_repository_the_commit_is_unknown(project):
    shutil.rmtree(project / ".git")
    assert commit_tag(project) == "unknown"


def test_this_repository_is_the_one_that_is_named():
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert provenance.code_tags()["git_commit"].removesuffix("+changes") == head.strip()
