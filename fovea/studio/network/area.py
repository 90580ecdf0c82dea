"""Where graphs stand on a page, and what is said of the box that is chosen."""

from nicegui import ui

ZOOM = (
    '<button class="plain" type="button" onclick="network.zoom(1.25)" aria-label="Larger">+</button> '
    '<button class="plain" type="button" onclick="network.zoom(0.8)" aria-label="Smaller">-</button> '
    '<button class="plain" type="button" onclick="network.zoom(0)">Fit</button>'
)
GRAPHS = '<div class="graphs" id="network-graphs"></div>'


def zoom() -> None:
    """Lay out the buttons that make graphs larger and smaller."""
    ui.html(ZOOM, sanitize=False)


def graphs(title: str) -> None:
    """Lay out the place of the graphs; `title` stands above what is said of a box, until one is chosen."""
    ui.html(GRAPHS, sanitize=False)
    ui.label(title).props('id="network-layer-title" role="heading" aria-level="2"')
    ui.element("div").props('id="network-layer" aria-live="polite"')
