"""What imports what: downward only, also where an import waits inside a function."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# From the ground up; what stands in one line knows nothing of its neighbours.
FLOORS = (
    ("reference", "raw", "certificate"),
    ("triton_kernels", "cuda_kernels"),
    ("ops",),
    ("nn",),
    ("decoding",),
    ("training",),
    ("commands",),
    ("cli",),
)


def modules(package):
    """Every module below a package and the modules of it that it names in an import anywhere in its text."""
    files = {}
    for file in (ROOT / package).rglob("*.py"):
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        files[name] = file
    return {name: imported(file.read_text(encoding="utf-8"), files) - {name} for name, file in files.items()}


def imported(text, known):
    """What a text imports when it runs, of the modules that are known or, where that is None, of all that there are."""
    found, tree = set(), ast.parse(text)
    of_types = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    ]
    left_out = {id(node) for block in of_types for node in ast.walk(block)}
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if known and whole in known else node.module)
    return found if known is None else found & set(known)


def rooms(package, place):
    """Which rooms (folders or files) directly below a place import which."""
    tied = {}
    for name, others in modules(package).items():
        for other in others:
            if name.startswith(place + ".") and other.startswith(place + "."):
                here, there = (whole[len(place) + 1 :].partition(".")[0] for whole in (name, other))
                tied.setdefault(here, set()).add(there)
    return tied


def circle(tied):
    try:
        TopologicalSorter(tied).prepare()
    except CycleError as error:
        return error.args[1]
    return None


def rising(tied, floors):
    """The imports from a lower floor of a higher one, or of another room of the same floor."""
    height = {room: level for level, floor in enumerate(floors) for room in floor}
    return sorted(
        f"{here} -> {there}"
        for here, others in tied.items()
        for there in others - {here}
        if here in height and there in height and height[here] <= height[there]
    )


@pytest.mark.parametrize("package", ["seq2seq_fast", "benchmarks", "build_support", "examples"])
def test_no_files_import_each_other_in_a_circle(package):
    assert circle(modules(package)) is None


@pytest.mark.parametrize("package", ["seq2seq_fast", "benchmarks"])
def test_no_folders_import_each_other_in_a_circle(package):
    assert circle({here: others - {here} for here, others in rooms(package, package).items()}) is None


def test_a_floor_of_the_package_imports_those_below_it_alone():
    assert rising(rooms("seq2seq_fast", "seq2seq_fast"), FLOORS) == []


def test_the_gpu_report_imports_from_the_bottom_to_the_top_as_it_says():
    said = ast.get_docstring(ast.parse((ROOT / "benchmarks/gpu_report/__init__.py").read_text(encoding="utf-8")))
    listed = [line[:26].replace("/", "").strip().split(", ") for line in said.splitlines() if line.startswith("    ")]
    order = [room for line in listed for room in line]
    tied = rooms("benchmarks", "benchmarks.gpu_report")
    assert set(order) == set(tied) | {room for others in tied.values() for room in others}
    engines_apart = [("triton", "cuda") if room == "triton" else (room,) for room in order if room != "cuda"]
    assert rising(tied, engines_apart) == []


@pytest.mark.parametrize("emulator", ["cudafiber", "ptx"])
def test_the_emulators_are_tools_in_their_own_right(emulator):
    for file in (ROOT / "tests" / "emulators" / emulator).rglob("*.py"):
        names = imported(file.read_text(encoding="utf-8"), known=None)
        others = {
            name for name in names if name.partition(".")[0] in {"seq2seq_fast", "benchmarks", "build_support", "tests"}
        }
        assert all(name.startswith("tests.emulators") for name in others), file


def test_circles_and_rising_imports_are_noticed():
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}
    assert rising({"ops": {"nn", "reference"}, "reference": {"triton_kernels"}}, FLOORS) == [
        "ops -> nn", "reference -> triton_kernels",
    ]  # fmt: skip
    hidden = "def f():\n    from p.b import x\n    import p.c\n    from p import d\nif TYPE_CHECKING:\n    import p.e\n"
    assert imported(hidden, {"p", "p.b", "p.c", "p.d", "p.e"}) == {"p.b", "p.c", "p.d"}
