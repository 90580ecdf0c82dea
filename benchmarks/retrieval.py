"""Image search: exact neighbours against the bare product and faiss, half precision, cells, how fast an index fills.

Embeddings are vectors around a thousand means, as those of classes are, in a file that is mapped; one thread, so run it
with OMP_NUM_THREADS=1. With `--model` and `--data` the last parts run on real ones: what cells find for images that are
not in the index, and images per second of `fovea index` against the network alone. With `--million` the first parts run
on a million vectors, too, which takes 3 GB of disk and 6 GB of memory.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from machine import Contestant, arguments, begun, in_turn, print_figures, print_verdict, ratio
from numpy.typing import NDArray

from fovea import inputs
from fovea.data.sources.source import DataSource, find
from fovea.jobs.index import index as make_index
from fovea.model.bundle import load
from fovea.model.embedding import BATCH, embedder_of
from fovea.retrieval.approximate import approximate
from fovea.retrieval.faiss_file import load_faiss
from fovea.retrieval.index import Index, Maker, Rows
from fovea.retrieval.index_file import read_index
from fovea.retrieval.neighbours import Neighbours, nearest, squared_norms
from fovea.training.losses import main_head

D, K = 512, 10
MEANS = 1000
BLOCK = 50_000


def main() -> None:
    parser = arguments(__doc__, quick="fewer vectors and rounds")
    parser.add_argument("--million", action="store_true", help="a million vectors, too")
    parser.add_argument("--model", help="a model file")
    parser.add_argument("--data", help="what it was trained for, with a test part")
    parser.add_argument("--only", choices=("exact", "half", "cells", "fill"), help="only this part")
    if os.environ.get("OMP_NUM_THREADS") != "1":
        raise SystemExit("This compares single threads: OMP_NUM_THREADS=1 python benchmarks/retrieval.py")
    given = begun(parser)
    torch.set_num_threads(1)
    faiss = load_faiss()
    faiss.omp_set_num_threads(1)
    rounds = 3 if given.quick else 15
    with tempfile.TemporaryDirectory() as folder:
        for N in ([6000] if given.quick else [60_000]) + ([1_000_000] if given.million else []):
            if given.only in (None, "exact", "half", "cells"):
                vectors(faiss, Path(folder), N, rounds=rounds, only=given.only)
        if given.model and given.data and given.only in (None, "cells"):
            real_cells(Path(folder), given.model, given.data)
        if given.model and given.data and given.only in (None, "fill"):
            fill(Path(folder), given.model, given.data, images=512 if given.quick else 4096, rounds=3)


def vectors(faiss: Any, folder: Path, N: int, *, rounds: int, only: str | None) -> None:
    """Measure the search of N vectors in a mapped file."""
    embeddings, queries = around_means(folder / "vectors", N, 200)
    squares = squared_norms(embeddings)
    print(f"\n{N:,} x {D}, float32, mapped")
    if only in (None, "exact"):
        exact(faiss, embeddings, squares, queries, rounds=rounds)
    if only in (None, "half"):
        half(folder, embeddings, squares, queries, rounds=rounds)
    if only in (None, "cells"):
        cells(folder, embeddings, squares, queries, rounds=rounds)


def around_means(path: Path, N: int, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return N vectors in a mapped file, and as many queries as asked for, of which none is among them."""
    generator = np.random.default_rng(0)
    means = generator.normal(size=(MEANS, D)).astype(np.float32)

    def drawn(n: int) -> NDArray[np.float32]:
        noise = generator.standard_normal((n, D), np.float32)
        return np.maximum(means[generator.integers(MEANS, size=n)] + noise, 0)  # as a ReLU leaves them

    with path.open("wb") as file:
        for first in range(0, N, BLOCK):
            file.write(drawn(min(BLOCK, N - first)).data)
    return np.memmap(path, np.float32, "r", shape=(N, D)).view(np.ndarray), drawn(count)


Search = Callable[[NDArray[np.float32]], object]


def milliseconds(
    search: Callable[[NDArray[np.float32]], object], queries: NDArray[np.float32], each: int
) -> Contestant:
    """Return a contestant: a search for `each` of the queries, others every time, in milliseconds of processor time."""
    turn = iter(range(10**9))

    def run() -> float:
        first = next(turn) * each % (len(queries) - each + 1)
        asked = np.ascontiguousarray(queries[first : first + each])
        began = time.thread_time()  # one thread, and whatever else runs on the machine counts for nothing
        search(asked)
        return 1000 * (time.thread_time() - began)

    run()  # pages of the file, buffers of the library
    return run


def exact(
    faiss: Any,
    embeddings: NDArray[np.float32],
    squares: NDArray[np.float32],
    queries: NDArray[np.float32],
    *,
    rounds: int,
) -> None:
    flat = faiss.IndexFlatL2(D)
    flat.add(embeddings)
    for each in (1, len(queries) // 2):
        searches: dict[str, Search] = {
            "fovea": lambda q: nearest(q, embeddings, K, squares=squares),
            "bare NumPy product": lambda q: embeddings @ q[0] if len(q) == 1 else q @ embeddings.T,
            "faiss flat": lambda q: flat.search(q, K),
        }
        figures = in_turn(
            {name: milliseconds(search, queries, each) for name, search in searches.items()}, rounds=rounds
        )
        print(f" exact, k {K}, {each} at a time")
        print_figures(figures, unit="ms")
        print_verdict("  time / bare product", ratio(figures["fovea"], figures["bare NumPy product"]), at_most=1.1)
        print_verdict("  time / faiss flat", ratio(figures["fovea"], figures["faiss flat"]), at_most=1.0)
    ours, theirs = nearest(queries, embeddings, K, squares=squares).indices, flat.search(queries, K)[1]
    print(f"  the same neighbours as faiss: {np.mean(ours == theirs):.4f}")


def half(
    folder: Path,
    embeddings: NDArray[np.float32],
    squares: NDArray[np.float32],
    queries: NDArray[np.float32],
    *,
    rounds: int,
) -> None:
    small = np.memmap(folder / "half", np.float16, "w+", shape=embeddings.shape)
    for first in range(0, len(embeddings), BLOCK):
        small[first : first + BLOCK] = embeddings[first : first + BLOCK]
    norms = squared_norms(small)
    whole, found = nearest(queries, embeddings, K, squares=squares), nearest(queries, small, K, squares=norms)
    print(" float16, half the bytes")
    print_verdict(f"  recall@{K} of the exact neighbours", recall(found, whole), at_least=0.999)
    searches: dict[str, Search] = {
        "float16": lambda q: nearest(q, small, K, squares=norms),
        "float32": lambda q: nearest(q, embeddings, K, squares=squares),
    }
    figures = in_turn({name: milliseconds(run, queries, 1) for name, run in searches.items()}, rounds=rounds)
    print_figures(figures, unit="ms")
    (folder / "half").unlink()


def recall(found: Neighbours, exact: Neighbours) -> float:
    """Return which share of the exact neighbours was found."""
    pairs = zip(found.indices.tolist(), exact.indices.tolist(), strict=True)
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in pairs]))


def cells(
    folder: Path,
    embeddings: NDArray[np.float32],
    squares: NDArray[np.float32],
    queries: NDArray[np.float32],
    *,
    rounds: int,
) -> None:
    os.environ["FOVEA_CACHE"] = str(folder / "cache")
    began = time.perf_counter()
    search = approximate(folder / "vectors", bare_index(embeddings, squares), "l2")
    print(f" cells: made in {time.perf_counter() - began:.0f} s; {search.probes} of {search.total} looked through")
    whole = nearest(queries, embeddings, K, squares=squares)
    print_verdict(f"  recall@{K}, as it tells (images of the index)", search.recall.mean, at_least=0.99)
    print_verdict(
        f"  recall@{K} of queries that are not in it", recall(search.nearest(queries, K), whole), at_least=0.99
    )
    figures = in_turn({"fovea --approximate": milliseconds(lambda q: search.nearest(q, K), queries, 1)}, rounds=rounds)
    print_figures(figures, unit="ms")


def bare_index(embeddings: NDArray[np.float32], squares: NDArray[np.float32]) -> Index:
    """Return an index of nothing but embeddings."""
    N = len(embeddings)
    rows = Rows(
        names=[""] * N,
        parts=np.zeros(N, np.uint8),
        labels=np.full(N, -1),
        digests=np.zeros((N, 32), np.uint8),
        looks=np.zeros((N, 2), np.int64),
    )
    return Index(
        embeddings=embeddings,
        squares=squares,
        rows=rows,
        maker=Maker(model_sha256="", layer="", entering=True, preprocess={}),
        metric="l2",
        task="classes",
        classes=(),
        data="",
        model_file="",
        data_place="",
    )


def real_cells(folder: Path, model: str, data: str) -> None:
    """Measure what cells find for test images among those of the training part."""
    os.environ["FOVEA_CACHE"] = os.environ.get("FOVEA_CACHE", "") or str(folder / "cache")
    path = folder / "real.fovea-index"
    make_index(model, data, out=path, split="train", device="cpu")
    index = read_index(path)
    bundle = load(model)
    part = DataSource(data=data, allow_bad=True).decode(find(data), bundle.preprocess).parts["test"]
    queries = embedder_of(bundle)(part.decoded[:1000]).features.numpy()
    print(f"\n{data}: {len(index):,} x {index.embeddings.shape[1]} of {Path(model).name}, 1,000 test images")
    for metric in ("l2", "cosine"):
        search = approximate(path, index, metric)
        whole = nearest(queries, index.embeddings, K, metric=metric, squares=index.squares)
        half_found = nearest(queries, np.asarray(index.embeddings, np.float16), K, metric=metric)
        print(f" {metric}: {search.probes} of {search.total} cells")
        print_verdict(f"  recall@{K}, as it tells (images of the index)", search.recall.mean, at_least=0.99)
        print_verdict(f"  recall@{K} of test images", recall(search.nearest(queries, K), whole), at_least=0.99)
        print_verdict(f"  recall@{K} of float16, exact search", recall(half_found, whole), at_least=0.999)


def fill(folder: Path, model: str, data: str, *, images: int, rounds: int) -> None:
    """Measure images per second of `fovea index` on arrays, and of the network alone on ready inputs."""
    bundle = load(model)
    part = next(iter(DataSource(data=data, allow_bad=True).decode(find(data), bundle.preprocess).parts.values()))
    pixels = np.array(part.decoded[:images])
    np.savez(folder / "some.npz", x_train=pixels, y_train=np.arange(len(pixels)) % 2)
    prepare = inputs.kind_of(bundle.preprocess).network_input(bundle.preprocess, bundle.device)
    find(folder / "some.npz")  # parsed once, as any data set

    def alone() -> float:
        began = time.perf_counter()
        with torch.no_grad():
            for first in range(0, len(pixels), BATCH):
                main_head(bundle.model(prepare(prepare.arranged(pixels[first : first + BATCH]))))
        return len(pixels) / (time.perf_counter() - began)

    def index() -> float:
        path = folder / "some.fovea-index"
        path.unlink(missing_ok=True)
        began = time.perf_counter()
        make_index(model, folder / "some.npz", out=path, device="cpu", task="classes")
        return len(pixels) / (time.perf_counter() - began)

    figures = in_turn({"the network alone": alone, "fovea index": index}, rounds=rounds)
    print(f"\nfilling an index: {images:,} images of {data} by {Path(model).name}")
    print_figures(figures, unit="images/s")
    print_verdict(
        "  rate / the network alone", ratio(figures["fovea index"], figures["the network alone"]), at_least=0.9
    )
    print(f"  ({median(figures['fovea index']):,.0f} images/s, with loading the model and writing the file)")


if __name__ == "__main__":
    main()
