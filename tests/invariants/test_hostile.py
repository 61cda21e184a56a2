"""Hostile input comes out harmless: texts, run folders, models, the network, secrets."""

from __future__ import annotations

import ast
import csv
import io
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import dawgen as package
from dawgen import cli
from tests.invariants.jobs import Outcome, SmallJob, dawgen, files_of, rows, write_rows

TOKEN = "hf_" + "Q" * 34
HTML = "<script>alert(1)</script><img src=x onerror=alert(1)>"
TEXTS = (
    HTML,
    '=HYPERLINK("http://evil","x")',
    "\x1b]0;owned\x07\x1b[2J a man runs",
    "| a | ![x](http://evil/x.png) **b**",
)


@pytest.fixture
def hostile(job: SmallJob) -> SmallJob:
    """The small job with hostile texts among its rows, training and test."""
    for name, start in (("train", 0), ("test", 40)):
        found = rows(start, 8)
        for row, text in zip(found, TEXTS, strict=False):
            row["premise"] = f"{text} {name}"
        write_rows(job.data(name), found)
    return job


def test_hostile_texts_are_harmless_wherever_they_come_out(
    hostile: SmallJob, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    outcome = hostile.run(run)
    assert outcome.code == 0, outcome.err
    page = (run / "report.html").read_text("utf-8")
    assert "&lt;script&gt;" in page
    for tag in ("<script>alert", "<img", "\x1b"):
        assert tag not in page
    card = (run / "synthetic" / "README.md").read_text("utf-8")
    for mark in ("<script", "<img", "![x](", "\x1b"):
        assert mark not in card

    table = tmp_path / "labelled.csv"
    shown = dawgen("predict", run, hostile.data("test"), "--out", table)
    assert shown.code == 0, shown.err
    cells = list(csv.DictReader(io.StringIO(table.read_text("utf-8"))))
    assert [row["premise"] for row in cells][1] == f"'{TEXTS[1]} test"
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in cells for cell in row.values())

    places = ("--generator", run / "generator", "--out", tmp_path / "more")
    preview = dawgen("synthesize", hostile.card, *hostile.arguments(), "--preview", 4, *places)
    example = ["-s", f"backbone.path={hostile.model}", "-s", "tuning.prompt_length=4"]
    validated = dawgen("validate", hostile.card, "--data", hostile.data("train"), *example)
    weights = dawgen("inspect", "weights", run)
    for said in (outcome, preview, validated, weights):
        assert said.code == 0, said.err
        assert "\x1b" not in said.out + said.err
        assert "\x07" not in said.out + said.err


def test_a_name_in_an_error_cannot_move_the_terminal(tmp_path: Path) -> None:
    outcome = dawgen("validate", tmp_path / "\x1b[31mred\n.yaml")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert "\\x1b[31mred\\n.yaml" in outcome.err


LOCALES = (
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "C"},
    {"PYTHONIOENCODING": "latin-1"},
)
ODD = "naïve\u2014\u65e5\ud800"
"""Of letters that Latin-1 has and has not, and half a letter that UTF-8 has not."""


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_no_locale_ends_a_command(
    tmp_path: Path, locale: dict[str, str], options: list[str]
) -> None:
    tokens = [{"text": ODD, "weight": 1.0, "label_ratio": 0.5}]
    weights = [{"row": 0, "label": ODD, "source": ODD, "tokens": tokens}]
    (tmp_path / "token-weights.json").write_text(json.dumps(weights))
    command = [sys.executable, "-m", "dawgen", "inspect", "weights", str(tmp_path), *options]
    environment = os.environ | locale | {"COLUMNS": "200"}
    found = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert (found.returncode, found.stderr) == (0, b"")
    encoding = locale.get("PYTHONIOENCODING", "utf-8")
    shown = ODD.encode(encoding, "backslashreplace")
    assert found.stdout.count(shown) >= 2


def test_a_secret_in_wrong_usage_is_not_shown() -> None:
    outcome = dawgen("inspect", "weights", "a", "https://me:pw@hub/x", "\x1b[31m")
    assert outcome.code == 2
    assert "https://***@hub/x \\x1b[31m" in outcome.err


def test_a_local_job_asks_for_no_network(
    job: SmallJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked for")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert job.run(tmp_path / "run").code == 0


def test_offline_refuses_the_network_to_the_whole_process() -> None:
    code = """
import socket
from dawgen.machine.offline import go_offline
go_offline()
from dawgen.errors import UserError
from dawgen.tasks import load_card, load_rows
import datasets, huggingface_hub
print(huggingface_hub.constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
there = ("127.0.0.1", 9)
for ask in (
    lambda: socket.create_connection(there),
    lambda: udp.connect(there),
    lambda: udp.connect_ex(there),
    lambda: udp.sendto(b"x", there),
    lambda: udp.sendmsg([b"x"], [], 0, there),
    lambda: socket.getaddrinfo("x", 1),
    lambda: socket.gethostbyname("localhost"),
    lambda: socket.gethostbyname_ex("localhost"),
    lambda: socket.gethostbyaddr("127.0.0.1"),
    lambda: socket.getnameinfo(there, 0),
    lambda: load_rows(load_card("sick"), "hub:nobody/nothing"),
):
    try:
        ask()
    except (ConnectionRefusedError, UserError) as error:
        print(error)
"""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    switches, *refusals, hub = found.stdout.splitlines()
    assert switches == "True True"
    assert refusals == ["--offline: the network was asked for and refused"] * 10
    assert hub.startswith("hub:nobody/nothing@train could not be loaded from the hub")


def test_offline_leaves_processes_of_this_machine_alone(tmp_path: Path) -> None:
    """Sockets of the file system and pairs of sockets; and a forked process is offline too."""
    code = f"""
import os, socket
from dawgen.machine.offline import go_offline
go_offline()
one, other = socket.socketpair()
one.sendmsg([b"pair"])
print(other.recv(9))
inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
inbox.bind({str(tmp_path / "s")!r})
out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for send in (out.sendto, lambda text, to: out.sendmsg([text], [], 0, to)):
    send(b"file", {str(tmp_path / "s")!r})
    print(inbox.recv(9))
if child := os.fork():
    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
try:
    socket.gethostbyaddr("127.0.0.1")
except ConnectionRefusedError:
    os._exit(7)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert found.stdout.splitlines() == [b"b'pair'", b"b'file'", b"b'file'"], found.stderr
    assert found.returncode == 7


def test_the_option_is_for_every_command(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(cli, "go_offline", lambda: asked.append(True))
    assert dawgen("--offline", "tasks").code == 0
    assert asked == [True]


def test_secrets_reach_no_file_and_no_log(
    job: SmallJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, TOKEN)
    address = "https://me:pass/word@1@hub/x"
    monkeypatch.setattr(sys, "argv", ["dawgen", "run", "x", "--note", TOKEN, address])
    named = {"tracking__project": address, "methods__ppt__corpus": f"hub:x?token={'s3cret' * 30}"}
    run = tmp_path / "run"
    outcome = job.run(run, **named)
    assert outcome.code == 0, outcome.err
    said = outcome.out + outcome.err

    def assert_none() -> None:
        for name, content in {**files_of(run), "what is said": said.encode()}.items():
            for secret in (TOKEN, "pass/word", "word@1", "s3cret"):
                assert secret.encode() not in content, name

    assert_none()
    record = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))
    assert record["command"] == ["dawgen", "run", "x", "--note", "***", "https://***@hub/x"]
    assert record["trust_remote_code"] is False
    for name in ("run.json", "config.yaml"):  # as an earlier version wrote them
        (run / name).write_text((run / name).read_text("utf-8").replace("***@hub", f"{TOKEN}@hub"))
    assert dawgen("report", run).code == 0
    assert TOKEN not in (run / "report.html").read_text("utf-8")
    assert "https://***@hub/x" in (run / "report.html").read_text("utf-8")
    failed = dawgen("validate", f"{TOKEN}.yaml")
    assert TOKEN not in failed.err


# --- run folders of other people -----------------------------------------------------------


def predict(run: Path, job: SmallJob) -> Outcome:
    return dawgen("predict", run, job.data("test"))


def test_a_run_folder_cannot_allow_a_models_own_code(
    job: SmallJob, tmp_path: Path, finished: tuple[SmallJob, Path, Outcome]
) -> None:
    config = finished[1] / "config.yaml"
    text = config.read_text("utf-8")
    run = tmp_path / "theirs"
    run.mkdir()
    shutil.copytree(finished[1] / "prompt", run / "prompt")
    shutil.copy(finished[1] / "task.yaml", run)
    (run / "config.yaml").write_text(
        text.replace("trust_remote_code: false", "trust_remote_code: true")
    )
    outcome = predict(run, job)
    assert outcome.code == 2
    assert "cannot allow a model's own code to run" in outcome.err
    (run / "config.yaml").write_text("a: &a [x, x]\n" * 2 + text)
    outcome = predict(run, job)
    assert outcome.code == 2
    assert "not readable YAML" in outcome.err


def test_what_was_allowed_once_is_not_allowed_by_the_run_folder(
    job: SmallJob, tmp_path: Path
) -> None:
    """The run can be used all the same: by whom the model needs no code, or who allows it again."""
    run = tmp_path / "run"
    outcome = job.run(run, backbone__trust_remote_code="true")
    assert outcome.code == 0, outcome.err
    assert json.loads((run / "run.json").read_text("utf-8"))["trust_remote_code"] is True
    assert "trust_remote_code: false" in (run / "config.yaml").read_text("utf-8")
    allowed = ["-s", "backbone.trust_remote_code=true"]
    assert predict(run, job).out == dawgen("predict", run, job.data("test"), *allowed).out
    assert predict(run, job).code == 0


# --- nothing is pickled ----------------------------------------------------------------------


def test_no_module_reads_or_writes_pickles() -> None:
    """Neither by name nor by the functions that do it without saying so."""
    sources = Path(str(package.__file__)).parent.rglob("*.py")
    for path in sources:
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [str(node.module)]
            elif isinstance(node, ast.Attribute):
                names = [ast.unparse(node)]
            banned = {"pickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"}
            banned |= {"torch.load", "torch.save", "np.load", "pd.read_pickle", "yaml.unsafe_load"}
            assert not banned & set(names), path
