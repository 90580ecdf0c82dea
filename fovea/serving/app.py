"""The application of one process: its routes, and how refusals and faults are reported."""

from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

import fovea
from fovea.serving import explaining_routes, inference, predicting
from fovea.serving.guard import Endpoint, Guard
from fovea.serving.page import POLICY, page
from fovea.serving.refusal import Refusal, failed, json_response
from fovea.serving.site import Site

DESCRIPTION = 'Predictions of trained networks. Errors are JSON: `{"error": "..."}`.'


def create_app(site: Site) -> Guard:
    """Return the whole application of a process."""
    app = FastAPI(
        title="fovea",
        version=fovea.__version__,
        description=DESCRIPTION,
        docs_url=None,  # these pages load their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(predicting.routes(site))  # first, as routes are tried in their order
    app.include_router(inference.routes(site))
    _about(app, site)
    if site.explainer is not None:
        app.include_router(explaining_routes.routes(site, site.explainer))
    app.exception_handler(Refusal)(_refused)
    app.exception_handler(HTTPException)(_unknown)
    app.exception_handler(Exception)(_failed)
    return Guard(app, site.settings, site.meters, _direct(site))


def _direct(site: Site) -> dict[str, Endpoint]:
    """Return what answers the paths that may be asked thousands of times a second; the application has them too."""

    async def predict(request: Request) -> Response:
        return await predicting.answer(site, request, request.query_params.get("model"))

    named = {f"/models/{name}/predict": partial(_predict_by, site, name) for name in site.models}
    return {"/predict": predict, **named}


async def _predict_by(site: Site, name: str, request: Request) -> Response:
    return await predicting.answer(site, request, name)


def _about(app: FastAPI, site: Site) -> None:
    @app.get("/", include_in_schema=False)
    async def upload_page() -> Response:
        return Response(page(), media_type="text/html", headers={"Content-Security-Policy": POLICY})

    @app.get("/health")
    async def health() -> Response:
        """Tell that the process is alive."""
        return json_response({"status": "alive"})

    @app.get("/ready")
    async def ready() -> Response:
        """Tell whether requests are welcome: 503 while the server ends."""
        return json_response({"status": "ready" if site.ready else "ending"}, status=200 if site.ready else 503)

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Return counters of all processes, as Prometheus reads them."""
        for model in site.models.values():
            model.gauge()
        text = site.meters.text({name: model.drift.indices() for name, model in site.models.items()})
        return Response(text, media_type="text/plain; version=0.0.4")

    @app.get("/models")
    async def models() -> Response:
        """Return the names of the models; the first is meant where none is named."""
        return json_response({"models": list(site.models)})

    @app.get("/model", responses=predicting.REFUSALS)
    @app.get("/models/{name}", responses=predicting.REFUSALS)
    async def model(request: Request, name: str | None = None) -> Response:
        """Return the card of a model, which file it is, and whether its images have drifted."""
        return json_response(_described(site, request, name or request.query_params.get("model")))


def _described(site: Site, request: Request, name: str | None) -> dict[str, Any]:
    model = site.model_of(request, name)
    engine = model.engine
    target = engine.scorer.target
    return {
        "name": model.name,
        "task": target.name,
        "predicts": target.noun,
        "classes": len(target.classes),
        "input": inference.input_name(model),
        "file": Path(model.path).name,
        "sha256": engine.fingerprint,
        "loaded": round(engine.loaded_at, 3),
        "drift": model.drift.described(),
        "explains": site.explainer is not None,
        "card": engine.scorer.card.to_dict(),
    }


async def _refused(request: Request, error: Exception) -> Response:
    return error.response if isinstance(error, Refusal) else await _failed(request, error)


async def _unknown(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    if status == 405:
        allowed = (getattr(error, "headers", None) or {}).get("Allow", "")
        message = f"{request.method} is not allowed for this path; use {allowed or 'another method'}."
        return json_response({"error": message}, status=405, headers={"Allow": allowed} if allowed else None)
    return json_response({"error": "This path does not exist; see /openapi.json."}, status=status)


async def _failed(request: Request, error: Exception) -> Response:
    return failed()
