"""Exchanges files with NumPy, both ways, and with a plain reader and writer of safetensors written from the format's
description. usage: interchange.py CONVERT_PROGRAM"""
import json
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

convert = sys.argv[1]
rng = np.random.default_rng(1)
TYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I8": "|i1", "I16": "<i2", "I32": "<i4", "I64": "<i8",
         "U8": "|u1", "U16": "<u2", "U32": "<u4", "U64": "<u8", "BOOL": "|b1"}


def run(source, target, *floats):
    subprocess.run([convert, str(source), str(target), *floats], check=True)


def refused(source, reason):
    done = subprocess.run([convert, str(source), str(source) + ".out.npz"], capture_output=True, text=True)
    assert done.returncode == 1 and reason in done.stderr and source.name in done.stderr, (source, done)


def read_safetensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    body = data[8 + length :]
    arrays = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        arrays[name] = np.frombuffer(body[begin:end], TYPES[entry["dtype"]]).reshape(entry["shape"])
    return arrays, metadata


def write_safetensors(path, arrays, metadata):
    header, body = {"__metadata__": metadata}, b""
    for name, a in arrays.items():
        kind = next(k for k, v in TYPES.items() if np.dtype(v) == a.dtype)
        header[name] = {"dtype": kind, "shape": a.shape, "data_offsets": [len(body), len(body) + a.nbytes]}
        body += a.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def same(got, expected, names=None):
    assert list(got) == (names or list(expected)), (list(got), list(expected))
    for name in got:
        g, e = got[name], expected[name]
        assert g.shape == e.shape and g.dtype == e.dtype and g.tobytes() == e.tobytes(), (name, g, e)


def widened(a):
    """As the library reads it: row major, in the narrowest of its three types that holds every value."""
    kind = {"f2": "<f4", "f4": "<f4", "f8": "<f8"}.get(a.dtype.str[1:], "<i8")
    return np.ascontiguousarray(a).reshape(a.shape).astype(kind)


with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    plain = {
        "fc1.weight": rng.standard_normal((784, 50)).astype("f4"),
        "fc1.bias": np.array([np.nan, np.inf, -0.0, 1e-40], "f4"),
        "größe/λ": rng.standard_normal((3, 4, 5)),
        "steps": np.array(2**62 + 1),
        "empty": np.zeros((0, 3)),
    }
    odd = {
        "half": np.arange(-5, 5, dtype="f2") / 3,
        "big": rng.standard_normal((5, 6)).astype(">f8"),
        "column": np.asfortranarray(rng.standard_normal((4, 3, 2)).astype("f4")),
        "bytes": np.arange(256, dtype="u1").reshape(16, 16),
        "flags": rng.random(9) > 0.5,
        "shorts": np.array([-32768, 32767], ">i2"),
        "ints": np.array([[-1, 2**31 - 1]], "i4"),
        "words": np.array([2**32 - 1], "u4"),
        "longs": np.array([2**63 - 1], "u8"),
        "zeros": np.zeros((1000, 100)),
    }
    arrays = plain | odd
    expected = {name: widened(a) for name, a in arrays.items()}

    # NumPy writes, we read and write, NumPy and the plain reader read.
    np.savez(folder / "stored.npz", **arrays)
    np.savez_compressed(folder / "deflated.npz", **arrays)
    for name in "stored", "deflated":
        run(folder / f"{name}.npz", folder / "out.npz")
        same(dict(np.load(folder / "out.npz")), expected)
        run(folder / f"{name}.npz", folder / "out.safetensors")
        same(read_safetensors(folder / "out.safetensors")[0], expected)
    for name, a in arrays.items():
        np.save(folder / "in.npy", a)
        run(folder / "in.npy", folder / "out.npy")
        same({name: np.load(folder / "out.npy")}, {name: expected[name]})
    for version in (1, 0), (2, 0), (3, 0):
        with open(folder / "in.npy", "wb") as f:
            np.lib.format.write_array(f, arrays["column"], version)
        run(folder / "in.npy", folder / "out.npy")
        same({"column": np.load(folder / "out.npy")}, {"column": expected["column"]})
    assert isinstance(np.load(folder / "out.npy", mmap_mode="r"), np.memmap)
    for floats in "f4", "f8":
        np.save(folder / "in.npy", np.linspace(-2, 2, 1000, dtype=floats))
        run(folder / "in.npy", folder / "out.npy", "f16")
        same({"halves": np.load(folder / "out.npy")}, {"halves": np.load(folder / "in.npy").astype("f2")})

    # What is packed a thousandfold is read: a mask, and a table of one in a thousand.
    mask = np.zeros((3000, 3000), bool)
    mask[1000:1200, 1000:1200] = True
    table = np.zeros((20_000, 1000), "f4")
    table[np.arange(20_000), np.arange(20_000) % 1000] = 1
    np.savez_compressed(folder / "sparse.npz", mask=mask, table=table)
    run(folder / "sparse.npz", folder / "sparse.safetensors")
    same(read_safetensors(folder / "sparse.safetensors")[0], {"mask": widened(mask), "table": table})

    # Safetensors from the plain writer through both formats and back, with the metadata.
    metadata = {"format": "pt", "note": "größe \"x\"\n"}
    write_safetensors(folder / "a.safetensors", plain, metadata)
    run(folder / "a.safetensors", folder / "b.npz")
    same(dict(np.load(folder / "b.npz")), plain)
    run(folder / "b.npz", folder / "c.safetensors")
    got, kept = read_safetensors(folder / "c.safetensors")
    same(got, plain)
    assert kept == metadata, kept

    narrow = {name: np.ascontiguousarray(a).astype(a.dtype.newbyteorder("<")) for name, a in odd.items()}
    write_safetensors(folder / "narrow.safetensors", narrow, {})
    run(folder / "narrow.safetensors", folder / "wide.npz")
    same(dict(np.load(folder / "wide.npz")), {name: expected[name] for name in narrow})

    # What other programs put beside arrays, or name otherwise: as numpy.load finds them.
    with zipfile.ZipFile(folder / "foreign.npz", "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("layer/", "")
        z.writestr("README.txt", "hello")
        for name in "layer/fc1.weight.npy", "bare":
            with z.open(name, "w") as f:
                np.lib.format.write_array(f, plain["fc1.weight"])
    with np.load(folder / "foreign.npz") as foreign:
        assert foreign["README.txt"] == b"hello" and foreign["bare"].shape == (784, 50)
    run(folder / "foreign.npz", folder / "foreign_out.npz")
    same(dict(np.load(folder / "foreign_out.npz")),
         {"layer/fc1.weight": plain["fc1.weight"], "bare": plain["fc1.weight"]})

    # None, and more than a zip file's first version can list.
    np.savez(folder / "none.npz")
    run(folder / "none.npz", folder / "none_out.npz")
    assert dict(np.load(folder / "none_out.npz")) == {}
    write_safetensors(folder / "many.safetensors", {str(i): np.array([i]) for i in range(66_000)}, {})
    run(folder / "many.safetensors", folder / "many.npz")
    with np.load(folder / "many.npz") as many:
        assert len(many.files) == 66_000 and many["65999"][0] == 65_999

    # What no tensor can hold.
    for name, array, reason in [
        ("object", np.array([{"a": 1}], object), "never unpickled"),
        ("complex", np.array([1j]), "'<c16'"),
        ("text", np.array(["abc"]), "'<U3'"),
        ("date", np.array(["2020-01-01"], "M8[D]"), "'<M8[D]'"),
        ("fields", np.zeros(2, [("x", "f4"), ("y", "i4")]), "structures"),
        ("unsigned", np.array([2**63], "u8"), "9223372036854775808"),
        ("axes", np.zeros((1,) * 9), "9 axes"),
    ]:
        np.savez_compressed(folder / "bad.npz", good=np.zeros(3), **{name: array})
        run(folder / "bad.npz", folder / "bad_out.npz")
        same(dict(np.load(folder / "bad_out.npz")), {"good": np.zeros(3)})
        np.save(folder / "bad.npy", array)
        refused(folder / "bad.npy", reason)

print("Files go to NumPy and back unchanged.")
