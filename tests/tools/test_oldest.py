"""Lower bounds as constraints."""

from __future__ import annotations

from tools.oldest import PROJECT, oldest


def test_lower_bounds_become_versions() -> None:
    project = """
[project]
dependencies = ["b>=2.9,<3", "a>=2.10", "free"]
[project.optional-dependencies]
dev = ["a>=2.9", "c>=1; python_version > '3'"]
docs = ["d>=7"]
"""
    assert oldest(project) == ["a==2.10", "b==2.9", "c==1"]


def test_every_dependency_of_dawgen_has_a_lower_bound() -> None:
    found = dict(line.split("==") for line in oldest(PROJECT.read_text("utf-8")))
    assert found["torch"] == "2.13"
    assert {"transformers", "peft", "datasets", "safetensors", "pyyaml", "hypothesis"} <= set(found)
