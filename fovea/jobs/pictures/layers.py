"""What a layer holds: its kernels, its maps of an image, and what excites its channels most."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fovea.errors import UsageError
from fovea.explanation.attribution.rectified import project
from fovea.explanation.features.channels import Filters, Responses, feature_maps, responses
from fovea.explanation.features.channels import filters as kernels
from fovea.explanation.features.strongest import COUNT, OUTSIDE, Patch, Project, excited, fields, strongest
from fovea.jobs.pictures.asked import Asked, pictured
from fovea.report.rasters import COLUMNS, MOST_FILTERS, Pixels, heat_tiles, in_colour, signed_tiles, tiled
from fovea.report.sheet import WIDE, Drawn, Group, Sheet, Table
from fovea.texts import percent

MOST_MAPS = 512
"""Channels in one picture."""
MOST_CHANNELS = 12
"""That are drawn where none are named."""
ENLARGED = 12
"""Pixels of the page for one weight."""
SEEN = 32
"""Filters, and input channels of each, in the picture of a layer that does not see the image."""


@pictured(
    "filters",
    does="the kernels of a layer as images; with `--data` also how its channels respond",
    data="may",
    takes=("layer",),
)
def filters(asked: Asked) -> Sheet:
    """Draw the kernels of a layer, by default of the first, and say how its channels respond to data."""
    found = kernels(asked.model, asked.blank, asked.layer)
    F, C, h, w = found.weights.shape
    pixels, note = _filter_picture(found)
    drawn = Drawn(pixels, f"{F} filters of {w} x {h}, {C} channel{'s' if C > 1 else ''} each", note, stem="filters")
    drawn = drawn._replace(width=min(WIDE, ENLARGED * pixels.shape[1]))
    groups, figures = [Group(drawn=[drawn])], {"layer": found.layer, "filters": F, "shape": [C, h, w]}
    arrays = {"weights": found.weights.numpy()}
    lines = [f"Filters  {F} of {w} x {h}, {C} channels each, of `{found.layer}`"]
    if asked.source is not None:
        answers = responses(asked.model, asked.batches("responses"), found.layer)
        columns = _columns(answers)
        groups.append(Group("Responses of the channels", _responses_note(asked, answers), table=_table(columns)))
        figures["responses"] = {name: values.tolist() for name, values in columns.items()}
        arrays |= columns
        lines.append(f"Dead     {int((answers.in_images == 0).sum())} of {F} channels, on {answers.images:,} images")
    return Sheet(
        title=f"Filters of {found.layer}",
        lead=asked.name,
        groups=groups,
        arrays=arrays,
        figures=figures,
        lines=lines,
    )


def _filter_picture(found: Filters) -> tuple[Pixels, str]:
    """Return the kernels as one picture, and what its colours mean."""
    F, C, _, w = found.weights.shape
    scale = "Each has its own scale"
    if found.kind == "colour" or (found.kind == "templates" and C in (1, 3)):
        tiles = found.pixels[:MOST_FILTERS].permute(0, 2, 3, 1).numpy()
        cut = f" The first {MOST_FILTERS} are shown." if F > MOST_FILTERS else ""
        columns = min(COLUMNS if w < 20 else 10, len(tiles))
        return tiled(tiles, columns=columns), f"{scale}: grey is 0, black and white are the largest weights.{cut}"
    shown = found.weights[:SEEN, :SEEN]
    cut = f" The first {len(shown)} filters are shown, and the first {shown.shape[1]} channels of each."
    rows = f"{'Each row is a filter, each column a channel of its input. ' if C > 1 else ''}{scale}: orange is above 0"
    columns = shown.shape[1] if C > 1 else COLUMNS
    shown = shown if C > 1 else found.weights[:MOST_FILTERS]
    note = f"{rows}, blue below.{cut if (C > 1 and max(F, C) > SEEN) else ''}"
    return tiled(signed_tiles(shown.flatten(0, 1).numpy()), columns=min(columns, len(shown) * shown.shape[1])), note


def _columns(found: Responses) -> dict[str, NDArray[np.float32]]:
    names = ("mean", "deviation", "largest", "active", "in_images")
    return {name: getattr(found, name).numpy() for name in names}


def _responses_note(asked: Asked, found: Responses) -> str:
    dead = int((found.in_images == 0).sum())
    said = f"Over all positions of {found.images:,} images, {asked.where}. "
    return said + (
        f"{dead} of {len(found.mean)} channels are dead: they are never above 0." if dead else "No channel is dead."
    )


def _table(columns: dict[str, NDArray[np.float32]]) -> Table:
    numbers = zip(*(columns[name] for name in ("mean", "deviation", "largest")), strict=True)
    shares = zip(columns["active"], columns["in_images"], strict=True)
    rows = [
        [str(channel), *(f"{value:.3g}" for value in three), *(percent(float(share)) for share in two)]
        for channel, (three, two) in enumerate(zip(numbers, shares, strict=True))
    ]
    return Table(("channel", "mean", "deviation", "largest", "positions above 0", "images above 0"), rows)


@pictured("maps", does="all channels of a layer for an image", images="must", takes=("layer", "channel"))
def maps(asked: Asked) -> Sheet:
    """Draw every channel of a layer for each image."""
    groups, arrays = [], {}
    for number, image in enumerate(asked.images):
        found = feature_maps(asked.model, asked.inputs([image]), asked.at)[0].numpy()
        K, h, w = found.shape
        chosen = list(_chosen(asked.channels, K, asked.at) or range(min(K, MOST_MAPS)))
        picture = tiled(heat_tiles(found[chosen]), columns=min(max(4, int((len(chosen) * h / w) ** 0.5)), len(chosen)))
        cut = f" The first {MOST_MAPS} are shown." if not asked.channels and K > MOST_MAPS else ""
        note = (
            f"{K} channels of {w} x {h}, row by row; each is scaled from its lowest value (dark) to its highest "
            f"(bright).{cut}"
        )
        drawn = [Drawn(in_colour(image.pixels), "The input of the network"), Drawn(picture, "", note)]
        drawn[1] = drawn[1]._replace(stem=f"{number:03d}-maps" if len(asked.images) > 1 else "maps", width=720)
        groups.append(Group(image.name, drawn=drawn))
        arrays[f"maps{number}"] = found
    figures = {"layer": asked.at, "images": [image.name for image in asked.images], "channels": K}
    title = f"Feature maps of {asked.at}"
    lines = [f"Maps     {K} channels of {w} x {h} at `{asked.at}`"]
    return Sheet(title=title, lead=asked.name, groups=groups, arrays=arrays, figures=figures, lines=lines)


@pictured(
    "strongest",
    does="the nine patches of a data set that activate a channel most, with their projections",
    data="must",
    takes=("layer", "channel"),
)
def strongest_patches(asked: Asked) -> Sheet:
    """Draw the patches that excite channels most beside their projections: Zeiler and Fergus 2013, figure 2."""
    _chosen(asked.channels, feature_maps(asked.model, asked.blank, asked.at).shape[1], asked.at)  # before all the data
    found = strongest(asked.model, asked.batches("finding the strongest activations"), asked.at, count=COUNT)
    K, count = found.values.shape
    chosen = _chosen(asked.channels, K, asked.at) or [*range(min(K, MOST_CHANNELS))]
    measured, drawn, figures = fields(asked.model, asked.bundle.preprocess.shape), list[Drawn](), []
    way, refusal = _projection(asked)
    told = asked.progress("projecting")
    for done, channel in enumerate(chosen):
        patches = excited(
            asked.model, found, channel, asked.samples, asked.bundle.inputs_of, project=way, measurement=measured
        )
        drawn.append(_patched(patches, channel))
        names = [asked.samples.names[patch.image] for patch in patches]
        figures.append({"channel": channel, "images": names, "values": [patch.value for patch in patches]})
        told(done + 1, len(chosen))
    seen = patches[0].pixels.shape
    note = (
        f"The {count} images of {asked.where} that activate each channel most, strongest first, each image once, "
        f"cropped to the receptive field of {seen[1]} x {seen[0]} pixels"
        + (f". {refusal}" if refusal else "; on the right their deconvnet projections.")
    )
    return Sheet(
        title=f"Strongest patches of {asked.at}",
        lead=asked.name,
        groups=[Group(note=note, drawn=drawn)],
        arrays={name: getattr(found, name).numpy() for name in ("values", "images", "rows", "columns")},
        figures={"layer": asked.at, "channels": figures},
        lines=[f"Patches  {seen[1]} x {seen[0]} pixels, for {len(chosen)} of {K} channels of `{asked.at}`"],
    )


def _projection(asked: Asked) -> tuple[Project | None, str]:
    """Return what projects units back, or None and why this network cannot be projected."""
    try:
        project(asked.model, asked.blank + 1e-3, asked.at, 0)
    except UsageError as error:
        return None, f"No projections: {error}"
    return project, ""


def _patched(patches: Sequence[Patch], channel: int) -> Drawn:
    """Return patches of one channel as one picture: nine images, and beside them nine projections."""
    seen = tiled(np.stack([in_colour(patch.pixels) for patch in patches]), columns=3, gap=2)
    caption = f"channel {channel}"
    note = f"{patches[0].value:.3g} to {patches[-1].value:.3g}"
    projections = [patch.projection for patch in patches if patch.projection is not None]
    if not projections:
        return Drawn(seen, caption, note, stem=f"channel-{channel}")
    tiles = []
    for projection in projections:
        largest = max(float(np.abs(projection).max()), 1e-30)
        tiles.append(
            in_colour((OUTSIDE + (255 - OUTSIDE) * projection / largest).clip(0, 255).round().astype(np.uint8))
        )
    back = tiled(np.stack(tiles), columns=3, gap=2)
    between = np.zeros((seen.shape[0], max(4, seen.shape[1] // 20), 4), np.uint8)
    return Drawn(np.concatenate([seen, between, back], axis=1), caption, note, stem=f"channel-{channel}")


def _chosen(channels: Sequence[int], K: int, layer: str) -> list[int]:
    """Return the channels that are named.

    Raises: UsageError if the layer has no such channel.
    """
    if wrong := [channel for channel in channels if not 0 <= channel < K]:
        raise UsageError(f"`channel` (={wrong[0]}) must be from 0 to {K - 1}, the channels of `{layer}`.")
    return list(channels)
