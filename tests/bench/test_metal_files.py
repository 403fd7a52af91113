"""``bench metal-files`` on two files of our own: one that compiles, one of whose instances does not."""

import json

import pytest

from bench.__main__ import main

HEADER = "#pragma once\ntemplate <typename T> T twice(T x) { return x + x; }\n"
GOOD = """#include <metal_stdlib>
#include "lib/twice.h"
template <typename T> [[kernel]] void doubled(device T* y, uint i [[thread_position_in_grid]]) { y[i] = twice(y[i]); }
template [[host_name("doubled_float")]] [[kernel]] void doubled<float>(device float*, uint);
template [[host_name("doubled_half")]] [[kernel]] void doubled(device half* y, uint i);
kernel void plain(device float* y) { y[0] = 1; }
"""
BAD = """#include <metal_stdlib>
template <int N> [[kernel]] void filled(device float* y) {
  static_assert(N < 3, "too many");
  y[0] = N;
}
template [[host_name("filled_1")]] [[kernel]] void filled<1>(device float*);
template [[host_name("filled_2")]] [[kernel]] void filled<2>(device float*);
template [[host_name("filled_3")]] [[kernel]] void filled<3>(device float*);
kernel void plain(device float* y) { y[0] = 1; }
"""


def test_files_and_entry_points_are_counted_and_the_first_error_is_named(tmp_path, capsys):
    (tmp_path / "kernels/deep").mkdir(parents=True)
    (tmp_path / "kernels/lib").mkdir()
    (tmp_path / "kernels/lib/twice.h").write_text(HEADER)
    (tmp_path / "kernels/deep/good.metal").write_text(GOOD)
    bad = tmp_path / "kernels/bad.metal"
    bad.write_text(BAD)
    rows = tmp_path / "rows.json"
    call = ["metal-files", str(tmp_path / "kernels"), "--json", str(rows)]
    assert main(call) == 1
    out = capsys.readouterr().out
    assert "1 of 2 files whole, 6 of 7 entry points" in out
    assert f"  {bad}:3: " in out
    assert "too many" in out
    found = {row["file"].rsplit("/", 1)[1]: row for row in json.loads(rows.read_text())}
    assert [found[name]["compiled"] for name in ("good.metal", "bad.metal")] == [3, 3]
    assert main(call) == 1
    assert capsys.readouterr().out == out, "from the cache"
    assert main(["metal-files", str(tmp_path / "kernels/deep")]) == 0


def test_a_folder_without_metal_files_is_refused(tmp_path, capsys):
    for folder, words in ((tmp_path, "got none in"), (tmp_path / "none", "which is not there")):
        with pytest.raises(SystemExit) as stop:
            main(["metal-files", str(folder)])
        assert stop.value.code == 2
        assert words in capsys.readouterr().err
