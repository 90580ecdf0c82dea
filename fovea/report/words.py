"""The fields of a card in words, for a page and a terminal; docs/bundle.md lists the keys that the file holds."""

WORDS = {
    "accumulate": "batches per step",
    "alpha_over": "background of transparent images",
    "antialias": "antialiased",
    "augment": "augmentations",
    "aux_weight": "weight of auxiliary losses",
    "balanced": "classes drawn equally often",
    "budget_s": "time budget in seconds",
    "c_in": "input channels",
    "class_means": "head set to class means",
    "clip": "largest gradient norm",
    "compile": "compiled",
    "crop": "share of the shorter side kept",
    "ece_after": "calibration error after",
    "ece_before": "calibration error before",
    "ema": "decay of the moving average of weights",
    "fill": "padding value",
    "fit": "fitting to the input size",
    "fit_head": "head fitted before training",
    "freeze": "frozen layers",
    "frozen_statistics": "batch norm statistics kept",
    "frozen_views": "stored views of each image",
    "head_first": "share of the training for the head alone",
    "head_strength": "C of the fitted head",
    "keep_best": "best weights kept",
    "lr": "learning rate",
    "lr_rest": "learning rate of norms and biases",
    "naming": "tensor names of",
    "nesterov": "Nesterov momentum",
    "patience": "patience in epochs",
    "pflop": "PFLOP",
    "preprocess.resample": "interpolation",
    "pretrain": "unsupervised pretraining epochs per layer",
    "probe": "head fitted instead of training",
    "recipe.resample": "images drawn with replacement",
    "refit_head": "head fitted again at the end",
    "sha256": "SHA-256",
    "stage_decay": "learning rate factor per stage",
    "std": "standard deviation",
    "test_flip": "averaged with the mirror image",
    "val_fraction": "share set aside for validation",
    "warmup": "share of the training for warm-up",
    "whiten": "first layer whitens",
}
"""What a key alone does not say; with its section where two sections have the key."""


def in_words(path: str, *, between: str = ", ") -> str:
    """Return the keys on the way to a field, joined by dots, as words; a key without an entry is its own words.

    >>> in_words("training.recipe.lr"), in_words("preprocess.resample"), in_words("recipe.weight_decay")
    ('training, recipe, learning rate', 'preprocess, interpolation', 'recipe, weight decay')
    """
    keys = path.split(".")
    sections = ["", *keys[:-1]]
    found = (WORDS.get(f"{section}.{key}", WORDS.get(key)) for section, key in zip(sections, keys, strict=True))
    return between.join(words or key.replace("_", " ") for words, key in zip(found, keys, strict=True))
