"""The wrong changes that `make mutants` applies still fit the code."""

import re

import pytest
from mutants import ROOT, Mutant, mutants


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_a_wrong_change_can_be_made_and_its_tests_exist(mutant: Mutant):
    text = (ROOT / mutant.file).read_text("utf8")
    assert text.count(mutant.find) == 1
    assert mutant.replace != mutant.find
    paths = [word for word in mutant.tests.split() if word.startswith("tests")]
    assert paths and all((ROOT / path).exists() for path in paths)


def test_at_most_one_in_twenty_survives_and_each_with_a_reason():
    known = [mutant for mutant in mutants() if mutant.survives]
    assert len(known) <= len(mutants()) / 20
    assert all(re.search(r"\w+ \w+", mutant.survives) for mutant in known)
