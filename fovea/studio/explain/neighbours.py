"""The images of an index in the folder of the studio that are most similar to the one shown for a network."""

from pathlib import Path
from typing import Any

from fovea.data.sources.download import locate
from fovea.data.sources.source import NAMES
from fovea.display import Display
from fovea.errors import FoveaError
from fovea.jobs.sample_pictures import SamplePictures
from fovea.jobs.search import Found, Searcher, embedder_for, pictures_of
from fovea.report.page import picture
from fovea.report.rasters import in_colour
from fovea.retrieval.index import Index
from fovea.retrieval.index_file import read_index
from fovea.studio.opened import Opened

K = 12
SIDE = 96
"""Pixels of a picture."""


class Neighbours:
    """An index, ready to be asked. Raises: FoveaError where it cannot be read, or its network is not there."""

    def __init__(self, opened: Opened, place: str) -> None:
        path = opened.inside(place)
        index = read_index(path)
        opened.inside(str(path.parent / index.model_file))
        embedder = embedder_for(index, path, None, device="cpu")
        self.searcher = Searcher(index=index, embedder=embedder, k=K, metric=index.metric)
        self.pictures, self.missing = _pictures(opened, index, path, self.searcher)

    def nearest(self, source: Any) -> dict[str, Any]:
        """Return the nearest to an image, a path, the bytes of a file or an array, as JSON values."""
        found = self.searcher.nearest_to(self.searcher.embedder.bundle.read(source))
        index = self.searcher.index
        seen = f"{len(index):,} images, as the network sees them {index.maker.where}; distances are {index.metric}."
        said = f"{seen} {self.missing}".strip()
        return {"said": said, "found": [self._shown(each) for each in found]}

    def _shown(self, each: Found) -> dict[str, Any]:
        pixels = None if self.pictures is None else self.pictures(each.part, each.name)
        return {
            "name": each.name,
            "label": each.label,
            "distance": f"{each.distance:.3g}",
            "image": "" if pixels is None else picture(in_colour(pixels), side=SIDE),
        }


def _pictures(opened: Opened, index: Index, path: Path, searcher: Searcher) -> tuple[SamplePictures | None, str]:
    """Return where the pictures of an index are, or why they are not shown; nothing is downloaded."""
    try:
        if index.data_place in NAMES:
            if index.data_place != "digits":
                locate(index.data_place, download=False)
        elif index.data_place:
            opened.inside(str(path.parent / index.data_place))
        return pictures_of(index, path, None, searcher.preprocess, Display(quiet=True)), ""
    except FoveaError as error:
        return None, f"Their pictures are not shown: {error}"
