"""Images of one bright rectangle each, with its mask, its box or two of its corners to be learned."""

import numpy as np
from PIL import Image, ImageDraw

SIDE = 48


def drawn(folder, kind, count=12):
    """Write images of one bright rectangle each with what is to be learned of it; return the folder."""
    generator = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    rows = []
    for index in range(count):
        x, y, w, h = (int(value) for value in generator.integers([2, 2, 12, 12], [20, 20, 24, 24]))
        noise = generator.integers(0, 60, (SIDE, SIDE), dtype=np.uint8)
        image, mask = Image.fromarray(noise), Image.new("L", (SIDE, SIDE))
        for canvas, value in ((image, 220), (mask, 1)):
            ImageDraw.Draw(canvas).rectangle((x, y, x + w - 1, y + h - 1), fill=value)
        image.save(folder / "images" / f"{index:02}.png")
        if kind == "masks":
            (folder / "masks").mkdir(exist_ok=True)
            mask.save(folder / "masks" / f"{index:02}.png")
        split = "test" if index % 4 == 0 else "train"
        rows.append((f"images/{index:02}.png", split, x, y, x + w, y + h))
    if kind == "boxes":
        lines = ["path,split,label,x0,y0,x1,y1", *(f"{p},{s},block,{a},{b},{c},{d}" for p, s, a, b, c, d in rows)]
    else:
        lines = ["path,split,low_x,low_y,high_x,high_y", *(f"{p},{s},{a},{b},{c},{d}" for p, s, a, b, c, d in rows)]
    if kind != "masks":
        (folder / "list.csv").write_text("\n".join(lines))
    return folder
