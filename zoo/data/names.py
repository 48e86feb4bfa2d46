"""What `load_data` knows by name. Nothing here imports torch, so that listing stays quick."""

from zoo.errors import bare

EMBEDDED = "digits"

DATASETS: dict[str, str] = {
    "digits": "8x8 grey handwritten digits, 17 levels, 1,797 images; embedded, nothing to download",
    "mnist": "28x28 grey handwritten digits, 60,000 + 10,000",
    "static_mnist": "28x28 binary MNIST as H. Larochelle drew it once, 50,000 + 10,000 + 10,000; three files",
    "fashion_mnist": "28x28 grey photographs of clothes, 60,000 + 10,000",
    "kmnist": "28x28 grey cursive Japanese characters, 60,000 + 10,000",
    "emnist_balanced": "28x28 grey handwritten letters and digits, 47 classes, 112,800 + 18,800",
    "emnist_letters": "28x28 grey handwritten letters, 124,800 + 20,800",
    "omniglot": "105x105 binary characters of 50 alphabets, ink is 1, 19,280 + 13,180",
    "omniglot28": "28x28 grey characters as in IWAE, 23,000 + 1,345 + 8,070; chardata.mat, needs scipy",
    "caltech_silhouettes": "28x28 binary outlines, 4,100 + 2,264 + 2,307; a .mat file, needs scipy",
    "frey_faces": "28x20 grey frames of one face, 1,565 + 200 + 200; frey_rawface.mat, needs scipy",
    "cifar10": "32x32 RGB photographs, 10 classes, 50,000 + 10,000",
    "cifar100": "32x32 RGB photographs, 100 classes, 50,000 + 10,000",
    "svhn": "32x32 RGB house numbers, 73,257 + 26,032; reading it needs scipy",
}


def canonical_name(name: str) -> str | None:
    """The key of `DATASETS` that `name` means, whatever its case, hyphens and underscores.

    >>> canonical_name("Fashion-MNIST")
    'fashion_mnist'
    """
    return {bare(known): known for known in DATASETS}.get(bare(name))
