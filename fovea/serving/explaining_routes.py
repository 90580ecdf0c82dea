"""`POST /explain`: where in an image the network sees its answer."""

import base64
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from fovea.serving.admission import Places
from fovea.serving.bodies import uploads_in
from fovea.serving.predicting import BODY, REFUSALS, Named
from fovea.serving.refusal import full, json_response
from fovea.serving.site import Explainer, Site

AT_ONCE = 8
"""Requests for explanations that a process has at a time."""


class Explained(BaseModel):
    """An answer, and where it is seen."""

    model: str
    answer: str
    method: str
    layer: str
    predictions: list[Named] | None = None
    value: float | None = None
    picture: str
    """A PNG, in base64: the input of the network, and over it what supports the answer."""


def routes(site: Site, explainer: Explainer) -> APIRouter:
    """Return the route of explanations; `Accept: image/png` asks for the picture alone."""
    router = APIRouter()
    places = Places(AT_ONCE, lambda: full(site.settings.busy_status, 5))
    asked = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in ("model", "answer")]
    responses: Any = {200: {"model": Explained}, **REFUSALS}

    @router.post(
        "/explain",
        openapi_extra={"requestBody": BODY, "parameters": asked},
        responses=responses,
        response_class=Response,
    )
    async def explain(request: Request) -> Response:
        """Show where in one image the network sees its answer, or the one that the query names (Grad-CAM)."""
        model = site.models.named(request.query_params.get("model"))
        wait = site.wait_of(request)
        with places.held(1), site.bodies.held(0) as more_bytes:
            body = await site.body_of(request, wait, more_bytes)
            (upload,) = uploads_in(body, request.headers.get("content-type", ""), most=1)
            said = await explainer.explain(model.name, upload.content, request.query_params.get("answer"), wait)
        if request.headers.get("accept", "") == "image/png":
            return Response(base64.b64decode(str(said["picture"])), media_type="image/png")
        return json_response({"model": model.name, **said})

    return router
