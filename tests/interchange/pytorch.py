"""Exchanges weights and checkpoints with PyTorch, both ways. usage: pytorch.py CONVERT_PROGRAM NETWORKS_PROGRAM"""
import collections
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

convert, networks = sys.argv[1:]
torch.manual_seed(1)


def run(*args):
    subprocess.run([str(a) for a in args], check=True)


def refused(source, reason):
    done = subprocess.run([convert, source, f"{source}.out.npz"], capture_output=True, text=True)
    assert done.returncode == 1 and reason in done.stderr and source.name in done.stderr, (source, done)


def mlp():
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 8), nn.Dropout(0.5), nn.PReLU(8),
                         nn.Linear(8, 3, bias=False)), (20, 6)


def cnn():
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2, bias=False), nn.ReLU(),
                         nn.ConvTranspose2d(6, 4, 2, stride=2), nn.Flatten(), nn.Linear(64, 5)), (7, 2, 8, 8)


def close(a, b):
    difference = np.abs(a - b).max() / np.abs(b).max()
    assert a.shape == b.shape and difference < 1e-6, difference


def exchange_network(make, folder):
    name = make.__name__
    net, shape = make()
    adam = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(5):
        adam.zero_grad()
        (net(torch.randn(shape) * 2 + 1) ** 2).mean().backward()
        adam.step()
    net.eval()
    x = torch.randn(shape)
    np.save(folder / "x.npy", x.numpy())
    expected = net(x).detach().numpy()
    # Its state alone, and within a checkpoint as trainings write it.
    torch.save(net.state_dict(), folder / "state.pt")
    checkpoint = {"model": net.state_dict(), "optimizer": adam.state_dict(), "epoch": 3, "loss": 0.25}
    torch.save(checkpoint, folder / "checkpoint.pth")
    for file, prefix in ("state.pt", ""), ("checkpoint.pth", "model."):
        run(networks, name, "load", folder / file, prefix, folder / "x.npy", folder / "y.npy")
        close(np.load(folder / "y.npy"), expected)

    run(networks, name, "export", folder / "out.pt", folder / "x.npy", folder / "y.npy")
    state = torch.load(folder / "out.pt", weights_only=True)
    other, _ = make()
    other.load_state_dict(state)  # strict: all names, and no others
    other.eval()
    close(other(torch.from_numpy(np.load(folder / "x.npy"))).detach().numpy(), np.load(folder / "y.npy"))


def exchange_tensors(folder):
    base = torch.randn(4, 6)
    flat = torch.randn(10)
    tensors = collections.OrderedDict(
        base=base, transposed=base.t(), part=base[1:3, 2:], every_second=base[:, ::2], again=base, first=flat[:4].view(2, 2),
        rest=flat[4:], expanded=torch.ones(3, 1).expand(3, 5), scalar=torch.tensor(3.5, dtype=torch.float64),
        empty=torch.zeros(0, 3), half=torch.randn(3).half(), brain=torch.randn(3).bfloat16(),
        bytes=torch.arange(5, dtype=torch.uint8), i8=torch.tensor([-128, 127], dtype=torch.int8),
        i16=torch.tensor([-32768, 32767], dtype=torch.int16), i32=torch.tensor([-(2**31), 2**31 - 1], dtype=torch.int32),
        i64=torch.tensor(2**62 + 1), flags=torch.tensor([True, False]), parameter=nn.Parameter(torch.ones(2, 2)))
    expected = {"t." + k: v.detach() for k, v in tensors.items()}
    for protocol in 2, 3, 4, 5:
        torch.save({"t": tensors, "epoch": 3}, folder / "in.pt", pickle_protocol=protocol)
        for between in "safetensors", "npz", "pt":
            run(convert, folder / "in.pt", folder / f"between.{between}")
            run(convert, folder / f"between.{between}", folder / "out.pt")
            got = torch.load(folder / "out.pt", weights_only=True)
            assert type(got) is collections.OrderedDict and list(got) == list(expected), list(got)
            for name, t in got.items():
                assert t.shape == expected[name].shape and t.is_contiguous(), name
                assert torch.equal(t.double(), expected[name].double()), name
    with zipfile.ZipFile(folder / "out.pt") as z:
        assert z.testzip() is None and b'"epoch":"3"' in z.read("archive/extra/metadata.json")

    # Halves: each rounds as PyTorch rounds, from f32 and from f64 at once.
    torch.save({"f32": torch.randn(100_000) * torch.logspace(-9, 4, 100_000),
                "f64": torch.randn(100_000, dtype=torch.float64) * torch.logspace(-9, 4, 100_000, dtype=torch.float64),
                "steps": torch.tensor(2**40)}, folder / "wide.pt")
    wide = torch.load(folder / "wide.pt")
    for floats, dtype in ("f16", torch.float16), ("bf16", torch.bfloat16):
        run(convert, folder / "wide.pt", folder / "narrow.pt", floats)
        narrow = torch.load(folder / "narrow.pt", weights_only=True)
        assert narrow["f32"].dtype == narrow["f64"].dtype == dtype and narrow["steps"] == 2**40
        assert torch.equal(narrow["f32"], wide["f32"].to(dtype))
        # PyTorch rounds f64 to f32 first, and so may be one number off.
        difference = (narrow["f64"].double() - wide["f64"]).abs()
        assert (difference <= (wide["f64"].to(dtype).double() - wide["f64"]).abs()).all()
        if floats == "f16":
            run(convert, folder / "wide.pt", folder / "narrow.npz", floats)
            arrays = np.load(folder / "narrow.npz")
            assert np.array_equal(arrays["f32"], wide["f32"].numpy().astype("f2"))
            assert np.array_equal(arrays["f64"], wide["f64"].numpy().astype("f2"))  # NumPy rounds once
        run(convert, folder / "narrow.pt", folder / "again.pt")
        assert torch.equal(torch.load(folder / "again.pt")["f32"], narrow["f32"].float())


def refuse_others(folder):
    state = nn.Linear(2, 2).state_dict()
    torch.save(state, folder / "legacy.pt", _use_new_zipfile_serialization=False)
    refused(folder / "legacy.pt", "before 1.6")
    torch.save(nn.Linear(2, 2), folder / "module.pt")
    refused(folder / "module.pt", "'torch.nn.modules.linear.Linear'")
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), folder / "script.pt")
    refused(folder / "script.pt", "TorchScript")
    torch.save({"w": torch.eye(3).to_sparse()}, folder / "sparse.pt")
    refused(folder / "sparse.pt", "_rebuild_sparse_tensor")
    torch.save({"w": torch.ones(2, dtype=torch.complex64)}, folder / "complex.pt")
    refused(folder / "complex.pt", "ComplexFloatStorage")


with tempfile.TemporaryDirectory() as name:
    for make in mlp, cnn:
        exchange_network(make, Path(name))
    exchange_tensors(Path(name))
    refuse_others(Path(name))
print(f"Files and weights go to PyTorch {torch.__version__} and back.")
