"""The application: its routes, the page, errors in OpenAI's form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles

from .errors import Refused
from .gate import Gate
from .metrics import CONTENT_TYPE
from .realtime import realtime
from .service import Service
from .subtitles import subtitles
from .transcriptions import transcriptions

PAGE = Path(__file__).parent / "page"


def create_app(service: Service) -> Any:
    """The ASGI application of a service.

    Args:
        service: What is served, to whom, within which limits.
    """
    app = FastAPI(title="voxtral-kernels", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.service = service
    app.add_api_route("/v1/audio/transcriptions", transcriptions, methods=["POST"], response_model=None)
    app.add_api_route("/v1/subtitles", subtitles, methods=["POST"], response_model=None)
    app.add_api_route("/v1/models", _models, methods=["GET"], response_model=None)
    app.add_api_route("/health", _health, methods=["GET", "HEAD"], response_model=None)
    app.add_api_route("/metrics", _metrics, methods=["GET"], response_model=None)
    app.add_api_route("/", _page, methods=["GET", "HEAD"], response_model=None)
    app.add_api_websocket_route("/v1/realtime", realtime)
    app.mount("/page", StaticFiles(directory=PAGE))
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _other)
    app.add_exception_handler(RequestValidationError, _invalid)
    gate = Gate(app, service)
    if not service.access.origins:
        return gate
    headers = ["authorization", "content-type"]
    return CORSMiddleware(gate, service.access.origins, allow_methods=["GET", "POST"], allow_headers=headers)


async def _models(request: Request) -> Response:
    service: Service = request.app.state.service
    names = (service.served.name, *service.served.names)
    made = {"object": "model", "created": service.began, "owned_by": "voxtral-kernels"}
    return JSONResponse({"object": "list", "data": [{"id": name, **made} for name in names]})


async def _health(request: Request) -> Response:
    if request.app.state.service.draining.is_set():
        return JSONResponse({"status": "ending"}, 503)
    return JSONResponse({"status": "ok"})


async def _metrics(request: Request) -> Response:
    return Response(request.app.state.service.metrics.text(), media_type=CONTENT_TYPE)


async def _page(request: Request) -> Response:
    return FileResponse(PAGE / "index.html")


async def _refused(request: Request, no: Exception) -> Response:
    assert isinstance(no, Refused)
    request.app.state.service.metrics.refused(no.code)
    return JSONResponse(no.body, no.status, no.headers)


async def _other(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    no = Refused(error.status_code, str(error.detail), code=str(error.detail).lower().replace(" ", "_"))
    return JSONResponse(no.body, no.status, error.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    no = Refused(422, f"{where or 'body'}: {first['msg']}", code="invalid_value", param=where or None)
    return JSONResponse(no.body, no.status)
