# SPDX-License-Identifier: Apache-2.0
"""MNIST: 70,000 handwritten digits, 28x28 bytes, 10 classes (LeCun, Bottou, Bengio, Haffner, Proc. IEEE, 1998).

The four IDX files, gzip or plain, are looked for in a given folder and nowhere else (in it, in mnist/, and where
torchvision keeps them, in MNIST/raw/), or in $SPIKERUN_DATA/mnist and the user's cache. They are downloaded only on
demand.
"""

from spikerun.datasets.download import Remote
from spikerun.datasets.idx_set import IdxSet, Split

__all__ = ["fetch", "fetch_size", "locate", "read"]

# MD5 of the gzip files as published, and SHA-256 of what is in them.
SPLITS = {
    "train": Split(
        Remote(
            "train-images-idx3-ubyte",
            9912422,
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        Remote(
            "train-labels-idx1-ubyte",
            28881,
            "d53e105ee54ea40749a09fcbcd1e9432",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        60000,
    ),
    "test": Split(
        Remote(
            "t10k-images-idx3-ubyte",
            1648877,
            "9fb629c4189551a2d022fa330f9573f3",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        Remote(
            "t10k-labels-idx1-ubyte",
            4542,
            "ec29112dd5afa0611ce80d1b7f02629c",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
        10000,
    ),
}
_SET = IdxSet(
    "mnist",
    SPLITS,
    tuple(map(str, range(10))),
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "Either: spikerun datasets fetch mnist; or name their folder with --data-dir.",
    inside=("MNIST/raw",),
)
locate, read, fetch, fetch_size = _SET.locate, _SET.read, _SET.fetch, _SET.fetch_size
