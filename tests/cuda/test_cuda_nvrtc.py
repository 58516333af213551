"""Every .cu file, as NVRTC compiles it: no spills, within every GPU's limits, no double arithmetic in float."""

import re

import nvrtc
import pytest
from nvrtc import Nvrtc, Usage
from tinyslm.kernels.cuda import _launch

CASES = [(major, family) for major in nvrtc.PLACES for family in nvrtc.families()]


@pytest.fixture(scope="module")
def compilers():
    """The compiler of each CUDA version that is installed."""
    return {major: Nvrtc(path) for major in nvrtc.PLACES if (path := nvrtc.find(major))}


def compiler(compilers, major):
    if major not in compilers:
        package = {12: "nvidia-cuda-nvrtc-cu12==12.9.86", 13: "nvidia-cuda-nvrtc==13.0.88"}[major]
        pytest.skip(f"the compiler of CUDA {major} is not here: pip install {package}")
    return compilers[major]


@pytest.mark.parametrize("major, family", CASES)
def test_registers_shared_memory_and_spills(compilers, major, family):
    chosen = compiler(compilers, major)
    for constants, architectures in nvrtc.variants(family):
        for architecture in architectures:
            found = nvrtc.usage(chosen, family, constants, architecture)
            assert found, "the compiler reported no kernel"
            for u in found:
                assert not nvrtc.faults(u), f"{u} with {nvrtc.label(constants)} on sm_{architecture}"


@pytest.mark.parametrize("major", nvrtc.PLACES)
def test_float_kernels_do_no_double_arithmetic(compilers, major):
    chosen = compiler(compilers, major)
    for family in nvrtc.families():
        options = [*_launch.OPTIONS, "--gpu-architecture=compute_80", "-DREAL=float"]
        text = chosen.compile(_launch.source(family), f"{family}.cu", options, "PTX")[0].decode()
        assert ".entry" in text and not re.search(r"\b(add|mul|fma|div|cvt)\S*\.f64", text), family


@pytest.mark.parametrize("major", nvrtc.PLACES)
def test_errors_name_the_file_and_the_line(compilers, major):
    chosen = compiler(compilers, major)
    broken = _launch.source("softmax").replace("real top = NEGATIVE_INFINITY, total = 0;", "nonsense;", 1)
    line = (_launch.HERE / "softmax.cu").read_text(encoding="utf-8").split("real top")[0].count("\n") + 1
    with pytest.raises(RuntimeError, match=rf"softmax\.cu\({line}\).*nonsense"):
        chosen.compile(broken, "softmax.cu", ["--gpu-architecture=sm_80"])


def test_every_kernel_says_how_many_threads_it_takes():
    """With its launch bounds a kernel never gets more registers than its block can have."""
    for family in nvrtc.families():
        text = (_launch.HERE / f"{family}.cu").read_text(encoding="utf-8")
        kernels = re.findall(r'extern "C" __global__ void\s+(\S+)', text)
        assert kernels and all(k.startswith("__launch_bounds__(") for k in kernels), family


def test_each_gpu_gets_the_tiles_that_fit_into_its_shared_memory():
    tiles = {a: v["OWN"] for v, chips in nvrtc.variants("attention") if v["D"] == 128 for a in chips}
    assert tiles == {75: 32, 80: 64, 90: 64, 100: 64}


def test_the_table_without_a_compiler_is_no_success(monkeypatch, capsys):
    monkeypatch.setattr(nvrtc, "find", lambda major: None)
    assert nvrtc.main() == 2 and capsys.readouterr().out.count("not installed") == len(nvrtc.PLACES)


def test_a_fault_is_one():
    assert not nvrtc.faults(Usage("a", 255, 48 * 1024, 0))
    for u in (Usage("a", 8, 0, 4), Usage("a", -1, 0, 0), Usage("a", 256, 0, 0), Usage("a", 8, 48 * 1024 + 1, 0)):
        assert nvrtc.faults(u)


def test_the_assembler_report_is_read():
    log = (
        "ptxas info    : Compiling entry function 'a' for 'sm_90'\nptxas info    : Function properties for a\n"
        "    8 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads\n"
        "ptxas info    : Used 32 registers, used 1 barriers, 128 bytes smem, 400 bytes cmem\n"
        "ptxas info    : Compiling entry function 'b' for 'sm_90'\n"
        "ptxas info    : Used 8 registers, 360 bytes cmem[0]\n"
    )
    assert nvrtc.parse(log) == [Usage("a", 32, 128, 12), Usage("b", 8, 0, 0)]
