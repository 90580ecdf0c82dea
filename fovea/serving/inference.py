"""The Open Inference Protocol, version 2, as Triton, KServe and their clients speak it."""

import time
from dataclasses import replace
from typing import Any

import numpy as np
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

import fovea
from fovea import inputs
from fovea.errors import FoveaError, shortened
from fovea.serving.batching import Outcome
from fovea.serving.engine import Wait
from fovea.serving.models import ServedModel
from fovea.serving.predicting import REFUSALS
from fovea.serving.refusal import Refusal, json_response
from fovea.serving.site import Site
from fovea.serving.tensors import DATATYPES, InferRequest, Tensor, parse_infer, written

VERSION = "1"
_ANSWERED: Any = {"responses": REFUSALS, "response_class": Response}
_BODY = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
}


def routes(site: Site) -> APIRouter:
    """Return the routes of the protocol."""
    router = APIRouter(prefix="/v2")

    @router.get("")
    async def server() -> Response:
        """Name the server and what it knows of the protocol."""
        said = {"name": "fovea", "version": fovea.__version__, "extensions": ["binary_tensor_data"]}
        return json_response(said)

    @router.get("/health/live")
    async def live() -> Response:
        """Tell that the process is alive."""
        return Response()

    @router.get("/health/ready")
    async def ready() -> Response:
        """Tell whether requests are welcome."""
        return Response(status_code=200 if site.ready else 503)

    @router.get("/models/{name}", responses=REFUSALS)
    @router.get("/models/{name}/versions/{version}", responses=REFUSALS)
    async def model(request: Request, name: str, version: str = VERSION) -> Response:
        """Tell what a model takes and gives."""
        return json_response(_metadata(_model(site, request, name, version)))

    @router.get("/models/{name}/ready", responses=REFUSALS)
    @router.get("/models/{name}/versions/{version}/ready", responses=REFUSALS)
    async def model_ready(request: Request, name: str, version: str = VERSION) -> Response:
        """Tell whether a model answers."""
        _model(site, request, name, version)
        return Response(status_code=200 if site.ready else 503)

    @router.post("/models/{name}/infer", openapi_extra=_BODY, **_ANSWERED)
    @router.post("/models/{name}/versions/{version}/infer", openapi_extra=_BODY, **_ANSWERED)
    async def infer(request: Request, name: str, version: str = VERSION) -> Response:
        """Answer for tensors."""
        return await _infer(site, request, _model(site, request, name, version))

    return router


def _model(site: Site, request: Request, name: str, version: str) -> ServedModel:
    model = site.model_of(request, name)
    if version != VERSION:
        raise Refusal(404, f"The model `{name}` has no version `{shortened(version)}`; it has {VERSION}.")
    return model


def input_name(model: ServedModel) -> str:
    """Return what the one input of a model is called: `images`, `series`, ..."""
    return inputs.kind_of(model.engine.scorer.preprocess).nouns


def output_name(model: ServedModel) -> str:
    """Return what the one output of a model is called."""
    return model.engine.scorer.target.row_name


def _metadata(model: ServedModel) -> dict[str, Any]:
    way, target = model.engine.scorer.preprocess, model.engine.scorer.target
    return {
        "name": model.name,
        "versions": [VERSION],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {
                "name": input_name(model),
                "datatype": DATATYPES[np.dtype(way.dtype).name],
                "shape": [-1, *way.stored_shape],
            }
        ],
        "outputs": [
            {
                "name": output_name(model),
                "datatype": "FP32",
                "shape": [-1, *(length or -1 for length in target.row_shape)],
            }
        ],
    }


async def _infer(site: Site, request: Request, model: ServedModel) -> Response:
    wait = site.wait_of(request)
    with model.place(wait) as more_places, site.bodies.held(0) as more_bytes:
        body = await site.body_of(request, wait, more_bytes)
        asked = parse_infer(body, request.headers.get("inference-header-content-length"))
        samples = _samples(model, asked, most=site.settings.files)
        more_places(len(samples) - 1)
        outcomes = await model.answers(list(samples), _within(wait, asked.parameters.get("timeout")))
    head = {"model_name": model.name, "model_version": VERSION, **({"id": asked.id} if asked.id else {})}
    binary = next((wanted.binary for wanted in asked.wanted), asked.binary)
    text, length = written(head, [(output_name(model), _rows(outcomes), binary)])
    if length is None:
        return Response(text, media_type="application/json")
    headers = {"Inference-Header-Content-Length": str(length)}
    return Response(text, media_type="application/octet-stream", headers=headers)


def _within(wait: Wait, microseconds: Any) -> Wait:
    """Return a wait of at most so many microseconds, as Triton has it; the same for what is no number."""
    if type(microseconds) not in (int, float) or not 0 < microseconds < 1e6 * wait.seconds:
        return wait
    seconds = microseconds / 1e6
    return replace(wait, seconds=seconds, deadline=min(wait.deadline, time.monotonic() + seconds))


def _samples(model: ServedModel, asked: InferRequest, *, most: int) -> Tensor:
    """Return the stored samples (N, ...) of a request. Raises: Refusal."""
    wanted, way = input_name(model), model.engine.scorer.preprocess
    if list(asked.inputs) != [wanted]:
        raise Refusal(400, f"The model `{model.name}` has one input, `{wanted}`; see /v2/models/{model.name}.")
    samples = asked.inputs[wanted]
    if samples.shape[1:] != tuple(way.stored_shape) or samples.dtype != way.dtype or len(samples) < 1:
        shape = ", ".join(map(str, way.stored_shape))
        found = f"{list(samples.shape)} of {DATATYPES[samples.dtype.name]}"
        datatype = DATATYPES[np.dtype(way.dtype).name]
        raise Refusal(400, f"The input `{wanted}` must have the shape [N, {shape}] of {datatype}; this has {found}.")
    if len(samples) > most:
        raise Refusal(413, f"A request may contain at most {most} samples; this one has {len(samples):,}.")
    if others := [output.name for output in asked.wanted if output.name != output_name(model)]:
        raise Refusal(400, f"The model has no output `{shortened(others[0])}`; it has `{output_name(model)}`.")
    return samples


def _rows(outcomes: list[Outcome]) -> Tensor:
    """Return decoded rows (N, K) float32. Raises: Refusal (422) where one has none."""
    rows = []
    for outcome in outcomes:
        if isinstance(outcome, FoveaError):
            raise Refusal(422, str(outcome))
        if isinstance(outcome, Exception):
            raise outcome
        rows.append(outcome)
    return np.stack(rows).astype(np.float32)
