"""`POST /predict`: images in, answers out."""

import re
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from fovea.errors import FoveaError, shortened
from fovea.preprocess.decoding import upright_size
from fovea.serving.batching import Outcome
from fovea.serving.bodies import Upload, uploads_in
from fovea.serving.engine import Engine
from fovea.serving.refusal import Refusal, json_response
from fovea.serving.site import Site

TOP = 5
MASKS = ("png", "rle")
MOST_TOP = 1000


class Named(BaseModel):
    """A class, grade or label with its probability."""

    label: str
    probability: float


class Area(BaseModel):
    """A class of pixels with its share of the image."""

    label: str
    share: float
    pixels: int


class Box(BaseModel):
    """An object: x0, y0, x1, y1 in pixels of the image, half-open."""

    label: str
    score: float
    box: list[float]


class Place(BaseModel):
    """A point, in pixels of the image: the centre of the first is at 0.5, 0.5."""

    label: str
    x: float
    y: float
    score: float


class Runs(BaseModel):
    """A class of pixels as run lengths, packed as COCO packs them."""

    label: str
    size: list[int]
    """Height and width of the image in pixels."""
    counts: str


class Answer(BaseModel):
    """What there is to say of one image; what does not apply is left out."""

    image: str | None = None
    """The name of its file, in a form."""
    predictions: list[Named] | None = None
    """The most probable classes or grades, or the labels that are present."""
    scores: dict[str, float] | None = None
    """Of several labels: the probability of each."""
    value: float | None = None
    """A number, where the model predicts one."""
    size: list[int] | None = None
    """Of a mask: height and width of the image in pixels."""
    classes: list[Area] | None = None
    """Of a mask: the classes in it."""
    png: str | None = None
    """Of a mask: the class of each pixel, as a PNG with a palette, in base64."""
    rle: list[Runs] | None = None
    """Of a mask, with `?masks=rle`: the pixels of each class in it."""
    boxes: list[Box] | None = None
    """The objects that were found, the most confident first."""
    points: list[Place] | None = None
    """Where the points are."""
    error: str | None = None
    """Why this image has no answer."""


class Answers(BaseModel):
    """An answer for each image, in their order."""

    model: str
    results: list[Answer]


class Error(BaseModel):
    """Why a request is not answered."""

    error: str


REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Error, "description": text}
    for status, text in {
        400: "Empty body, a wrong field, or an invalid form",
        401: "No token, or a wrong one",
        403: "Requested by a page of another site",
        404: "No such model",
        408: "The body arrived too slowly",
        413: "Too large, or too many files",
        415: "A media type that is not an image",
        422: "None of the images can be decoded",
        503: "Busy: try again after `Retry-After` seconds",
    }.items()
}
_FILES = {"type": "array", "items": {"type": "string", "format": "binary"}}
BODY = {
    "required": True,
    "content": {
        "image/*": {"schema": {"type": "string", "format": "binary"}},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        "multipart/form-data": {"schema": {"type": "object", "properties": {"image": _FILES}}},
    },
}
_DEADLINE = {
    "name": "X-Timeout-S",
    "in": "header",
    "schema": TypeAdapter(float).json_schema(),
    "description": "Seconds after which the response is no longer needed",
}
_TOP = {"name": "top", "in": "query", "schema": {"type": "integer", "default": TOP}}
_MASKS = {"name": "masks", "in": "query", "schema": {"type": "string", "enum": list(MASKS), "default": MASKS[0]}}
_MODEL = {"name": "model", "in": "query", "schema": {"type": "string"}, "description": "The first model, if not given"}


def routes(site: Site) -> APIRouter:
    """Return the routes of prediction."""
    router = APIRouter()
    asked = [_TOP, _MASKS, _DEADLINE]
    answered: Any = {"responses": {200: {"model": Answers}, **REFUSALS}, "response_class": Response}

    @router.post("/predict", openapi_extra={"requestBody": BODY, "parameters": [_MODEL, *asked]}, **answered)
    async def predict(request: Request) -> Response:
        """Answer for images by the model that the query names."""
        return await answer(site, request, request.query_params.get("model"))

    @router.post(
        "/models/{name}/predict",
        openapi_extra={"requestBody": BODY, "parameters": asked},
        **answered,
    )
    async def predict_by(request: Request, name: str) -> Response:
        """Answer for images by the model of this name."""
        return await answer(site, request, name)

    return router


async def answer(site: Site, request: Request, name: str | None) -> Response:
    """Return the answers for the images of a request by the model of a name. Raises: Refusal."""
    model = site.model_of(request, name)
    top, masks = _top(request.query_params.get("top")), _masks(request.query_params.get("masks", MASKS[0]))
    wait = site.wait_of(request)
    with model.place(wait) as more_places, site.bodies.held(0) as more_bytes:
        body = await site.body_of(request, wait, more_bytes)
        uploads = uploads_in(body, request.headers.get("content-type", ""), most=site.settings.files)
        del body
        more_places(len(uploads) - 1)
        engine = model.engine
        outcomes = await model.answers([upload.content for upload in uploads], wait)
    answered = zip(uploads, outcomes, strict=True)
    results = [_result(upload, outcome, engine, top, masks) for upload, outcome in answered]
    answers = {"model": model.name, "results": results}
    if all("error" in result for result in results):
        return json_response({"error": results[0]["error"], **answers}, status=422)
    return json_response(answers)


def _result(upload: Upload, outcome: Outcome, engine: Engine, top: int, masks: str) -> dict[str, Any]:
    named = {"image": upload.name} if upload.name else {}
    if isinstance(outcome, FoveaError):
        return {**named, "error": str(outcome)}
    if isinstance(outcome, Exception):
        raise outcome
    scorer = engine.scorer
    prediction = scorer.target.best(outcome, top)
    if scorer.target.lies_on_image and not engine.tiles.several(upload.content):
        size = upright_size(upload.content) or scorer.preprocess.shape[1:3]
        prediction = scorer.target.in_image(prediction, scorer.preprocess, size)  # type: ignore[arg-type]
    return {**named, **prediction.to_dict(), **prediction.attached(masks=masks)}


def _masks(text: str) -> str:
    if text not in MASKS:
        raise Refusal(400, f"`masks` (={shortened(text)}) must be one of {', '.join(MASKS)}.")
    return text


def _top(text: str | None) -> int:
    if text is None:
        return TOP
    if not re.fullmatch("[0-9]{1,4}", text) or not 1 <= int(text) <= MOST_TOP:
        raise Refusal(400, f"`top` (={shortened(text)}) must be a whole number from 1 to {MOST_TOP}.")
    return int(text)
