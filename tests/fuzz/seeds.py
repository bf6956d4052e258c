"""Writes what NumPy and gzip write, as inputs for the fuzz targets to start from. usage: seeds.py FOLDER"""
import gzip
import sys
from pathlib import Path

import numpy as np

folder = Path(sys.argv[1])
for target in "npy", "npz", "idx":
    (folder / target).mkdir(parents=True, exist_ok=True)
arrays = {f"{kind}{'big' if order == '>' else ''}": np.array([[1, 0, 3], [4, 5, 1]]).astype(order + kind)
          for order in "<>" for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")}
arrays["column"] = np.asfortranarray(np.arange(6, dtype="f4").reshape(2, 3))
arrays["scalar"] = np.array(2.5)
for name, array in arrays.items():
    np.save(folder / "npy" / f"np_{name}.npy", array)
for version in (2, 0), (3, 0):
    with open(folder / "npy" / f"np_version{version[0]}.npy", "wb") as f:
        np.lib.format.write_array(f, arrays["f8"], version)
few = {name: arrays[name] for name in ("f4", "i8", "column")}
np.savez(folder / "npz" / "np_stored.npz", **few)
np.savez_compressed(folder / "npz" / "np_deflated.npz", **few, zeros=np.zeros(1000))
np.savez_compressed(folder / "npz" / "np_none.npz")
labels = b"\0\0\x08\1\0\0\0\3\7\2\1"
(folder / "idx" / "gz_labels").write_bytes(gzip.compress(labels, mtime=0))
(folder / "idx" / "gz_members").write_bytes(gzip.compress(labels[:5], mtime=0) + gzip.compress(labels[5:], mtime=0))
