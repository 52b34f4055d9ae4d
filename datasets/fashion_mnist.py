# SPDX-License-Identifier: Apache-2.0
"""Fashion-MNIST: 70,000 photos of clothes, 28x28 bytes, 10 classes (Xiao, Rasul, Vollgraf, arXiv:1708.07747).

The four IDX files, gzip or plain, are looked for in a given folder and nowhere else, or in this order in
$SPIKERUN_DATA/fashion-mnist, Debian's package dataset-fashion-mnist, and the user's cache. They are
downloaded only on demand. MIT licence, Zalando SE.
"""

from pathlib import Path

from spikerun.datasets.download import Remote
from spikerun.datasets.idx_set import IdxSet, Split

__all__ = ["fetch", "fetch_size", "locate", "read"]

DEBIAN = Path("/usr/share/datasets/fashion-mnist")

CLASSES = (
    "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip

# MD5 of the gzip files as published by Zalando; SHA-256 of what is in them (Debian's gzip files differ from
# Zalando's in their headers, the content is the same).
SPLITS = {
    "train": Split(
        Remote(
            "train-images-idx3-ubyte",
            26421880,
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        Remote(
            "train-labels-idx1-ubyte",
            29515,
            "25c81989df183df01b3e8a0aad5dffbe",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
        60000,
    ),
    "test": Split(
        Remote(
            "t10k-images-idx3-ubyte",
            4422102,
            "bef4ecab320f06d8554ea6380940ec79",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        Remote(
            "t10k-labels-idx1-ubyte",
            5148,
            "bb300cfdad3c16e7a12a480ee83cd310",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
        10000,
    ),
}

_SET = IdxSet(
    "fashion-mnist",
    SPLITS,
    CLASSES,
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    "Either: apt-get install dataset-fashion-mnist; or: spikerun datasets fetch fashion-mnist; or name their folder "
    "with --data-dir.",
    installed=lambda: (DEBIAN,),
)
locate, read, fetch, fetch_size = _SET.locate, _SET.read, _SET.fetch, _SET.fetch_size
