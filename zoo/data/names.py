"""What `load_data` knows by name. Nothing here imports torch, so that listing stays quick."""

import difflib

EMBEDDED = "digits"

DATASETS: dict[str, str] = {
    "digits": "8x8 grey handwritten digits, 17 levels, 1,797 images; embedded, nothing to download",
    "mnist": "28x28 grey handwritten digits, 60,000 + 10,000",
    "fashion_mnist": "28x28 grey photographs of clothes, 60,000 + 10,000",
    "kmnist": "28x28 grey cursive Japanese characters, 60,000 + 10,000",
    "qmnist": "28x28 grey handwritten digits, MNIST rebuilt, 60,000 + 60,000",
    "emnist_balanced": "28x28 grey handwritten letters and digits, 47 classes, 112,800 + 18,800",
    "emnist_letters": "28x28 grey handwritten letters, 124,800 + 20,800",
    "emnist_digits": "28x28 grey handwritten digits, 240,000 + 40,000",
    "emnist_byclass": "28x28 grey handwritten letters and digits, 62 classes, 697,932 + 116,323",
    "emnist_bymerge": "28x28 grey handwritten letters and digits, 47 classes, 697,932 + 116,323",
    "omniglot": "105x105 binary characters of 50 alphabets, ink is 1, 19,280 + 13,180",
    "cifar10": "32x32 RGB photographs, 10 classes, 50,000 + 10,000",
    "cifar100": "32x32 RGB photographs, 100 classes, 50,000 + 10,000",
    "svhn": "32x32 RGB house numbers, 73,257 + 26,032; reading it needs scipy",
}


def canonical_name(name: str) -> str | None:
    """The key of `DATASETS` that `name` means, whatever its case, hyphens and underscores.

    >>> canonical_name("Fashion-MNIST")
    'fashion_mnist'
    """
    return {_bare(known): known for known in DATASETS}.get(_bare(name))


def nearest_names(name: str) -> list[str]:
    """Up to three keys of `DATASETS` spelt like `name`, nearest first.

    >>> nearest_names("mnsit")[0]
    'mnist'
    """
    known = {_bare(key): key for key in DATASETS}
    return [known[match] for match in difflib.get_close_matches(_bare(name), known)]


def _bare(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")
