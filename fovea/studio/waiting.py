"""The page that is shown while the network is loaded: plain HTML, which a browser has at once.

The page of a room brings a library of its own, which takes the server and the browser a second each to begin; this one
asks when the room is ready, and makes the page anew.
"""

from html import escape
from pathlib import Path

from fovea.studio.rooms import ROOMS, Room

STYLE = Path(__file__).parent / "static" / "studio.css"
PAGE = """<!doctype html>
<html lang="en-GB"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name} - fovea studio</title><style>* {{ box-sizing: border-box }} body {{ margin: 0 }}
{style}</style></head><body>
<header><h1 class="unseen">{name}</h1><nav class="rooms" aria-label="Rooms">{links}<div class="what">{what}</div></nav>
</header><main class="loading"><div id="said" role="status">Loading {what} ...</div>
<progress aria-label="Loading"></progress></main><script>
(async () => {{
  let fault = "it does not answer any more.";
  try {{
    const answer = await fetch("/loading?path=" + encodeURIComponent(location.pathname));
    fault = (await answer.json()).fault;
  }} catch {{ /* it has ended */ }}
  if (!fault) {{ location.reload(); return; }}
  document.getElementById("said").textContent = "The studio ends: " + fault;
  document.querySelector("progress").hidden = true;
}})();
</script></body></html>"""


def waiting_page(room: Room, name: str) -> str:
    """Return the page of a room that is not ready: the way to all rooms, and that `name` is loaded."""
    links = "".join(_link(other, here=other is room) for other in ROOMS)
    what, style = escape(name or "the studio"), STYLE.read_text(encoding="utf-8")
    return PAGE.format(name=escape(room.name), links=links, what=what, style=style)


def _link(room: Room, *, here: bool) -> str:
    current = ' aria-current="page"' if here else ""
    return f'<a href="{room.path}"{current}>{escape(room.name)}</a>'
