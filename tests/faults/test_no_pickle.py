"""No code comes in with data: no pickle, nothing evaluated, no shell; weights that are one are refused unread."""

import ast
import json
import pickle
from pathlib import Path

import pytest
import torch

import zssd_cli
from tests.commands.test_bad_input import assert_one_line
from zssd_cli.errors import WeightsError
from zssd_cli.prior.checkpoint import read_safetensors

MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "code", "runpy"}
CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "torch.load",
    "os.system",
    "os.popen",
    "yaml.unsafe_load",
    "yaml.full_load",
}
CALLS |= {"np.load", "numpy.load"}


def sources():
    folder = Path(zssd_cli.__file__).parent
    return [(path, ast.parse(path.read_text())) for path in sorted(folder.rglob("*.py"))]


def faults(path, tree):
    """Whatever could run what a file says."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            yield from (f"{path}:{node.lineno} import {name}" for name in names if name.split(".")[0] in MODULES)
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called in CALLS or (called == "yaml.load" and "Loader=_NoDuplicates" not in ast.unparse(node)):
            yield f"{path}:{node.lineno} {called}"
        for keyword in node.keywords:
            if keyword.arg in ("shell", "allow_pickle") and ast.unparse(keyword.value) != "False":
                yield f"{path}:{node.lineno} {keyword.arg}"


def test_nothing_of_the_package_could_run_what_a_file_says():
    found = [fault for path, tree in sources() for fault in faults(path, tree)]
    assert not found


def test_the_search_finds_what_it_looks_for():
    text = "import pickle\nfrom dill import loads\neval('1')\ntorch.load(p)\nyaml.load(t)\nrun('x', shell=True)\nnp.load(f)"
    assert len(list(faults(Path("x.py"), ast.parse(text)))) == 7


class Malicious:
    """Leaves a file where it is unpickled."""

    def __init__(self, mark):
        self._mark = mark

    def __reduce__(self):
        return Path.touch, (self._mark,)


@pytest.mark.parametrize("ending", ["safetensors", "pt", "pkl", "ckpt", "bin", "npz", ""])
@pytest.mark.parametrize("save", [lambda bad, path: path.write_bytes(pickle.dumps(bad)), torch.save])
def test_a_malicious_pickle_given_as_weights_is_refused_and_not_run(tmp_path, zssd, model, ending, save):
    mark, path = tmp_path / "mark", tmp_path / f"bad.{ending}".rstrip(".")
    save(Malicious(mark), path)
    for command in (
        ("downscale", model(), "--weights", path, "-o", tmp_path / "out.nc"),
        ("weights", "show", path),
        ("invert", path, "--domain", path, "--prior", path, "-o", tmp_path / "k.nc"),
        ("downscale", path, "-o", tmp_path / "out.nc", "--static", path),
    ):
        assert_one_line(zssd(*command))
    assert not mark.exists()
    if path.suffix == ".safetensors":
        with pytest.raises(WeightsError):
            read_safetensors(path)


def test_a_safetensors_header_that_is_nested_without_end(tmp_path, zssd, model):
    """The library's own header, and ours inside of its metadata, for both kinds of prior."""
    path = tmp_path / "deep.safetensors"
    deep = "[" * 200_000
    ours = [
        json.dumps({"__metadata__": {"format": kind, "header": deep}})
        for kind in ("zssd-prior-2", "zssd-latent-prior-1")
    ]
    for text in (deep, '{"a": ' * 200_000, '{"__metadata__": ' + deep, *ours):
        path.write_bytes(len(text).to_bytes(8, "little") + text.encode())
        assert_one_line(zssd("weights", "show", path))
        assert_one_line(zssd("downscale", model(), "--weights", path, "-o", tmp_path / "out.nc"))
